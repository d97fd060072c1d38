"""What a search came to, and what of it is proved."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Generic

from assay_runner.search.asking import Asking
from assay_runner.search.items import T
from assay_runner.search.trials import Stage

__all__ = ["Minimal", "Outcome", "Why", "minimality", "violation"]


class Why(Enum):
    """Why a search ended."""

    FOUND = "found"
    WIDE_FAILS = "wide fails"
    """It fails even where all is wide: no choice of precision cures it."""
    BUDGET = "budget"
    """The limit is reached, or the caller ended it; the best so far is given."""
    INCONCLUSIVE = "inconclusive"
    """Answers do not let a set be told apart from one that fails."""


class Minimal(Enum):
    """Whether each single item of the best set is needed."""

    PROVED = "proved"
    """Without any of them the set was tried, and failed."""
    IMPLIED = "implied"
    """A larger set without it failed; that is proof where keeping more wide never does harm."""
    PROPOSED = "proposed"
    """Proved or implied by the cheap oracle only."""
    NOT_PROVED = "not proved"
    """Not tried, or a smaller set passes but costs more."""


@dataclass(frozen=True)
class Outcome(Generic[T]):
    """What a search came to.

    Attributes:
        best: the cheapest set known to pass by the deciding oracle; None: there is none. Where the search is
            inconclusive it is confirmed, but may be far too large.
        cost: of the best set; NaN where there is none.
        why: why the search ended.
        confirmed: whether the best set passed as often, and as clearly, as the settings ask for.
        core: the set from which the best was grown because more costs less; the best itself where it was not.
        proposed: the best set by the cheap oracle alone; None where there is none, or only one oracle.
        passing: every set that passes by the deciding oracle, in the order in which they were found.
        minimal: whether each item of the core is needed.
        proof: for each item of the core, in order, the failing set that shows it; empty where it is not proved.
        violation: a passing set and a larger one that fails: more wide did harm. None: not seen.
        evaluations: answers of each oracle.
    """

    best: frozenset[T] | None
    cost: float
    why: Why
    confirmed: bool
    core: frozenset[T] | None
    proposed: frozenset[T] | None
    passing: tuple[frozenset[T], ...]
    minimal: Minimal
    proof: tuple[frozenset[T], ...]
    violation: tuple[frozenset[T], frozenset[T]] | None
    evaluations: Mapping[Stage, int]


def violation(asking: Asking[T], certain: bool = True) -> tuple[frozenset[T], frozenset[T]] | None:
    """The first passing set of which a larger one fails.

    Args:
        asking: the oracle.
        certain: whether sets count only where there is no doubt about either.
    """
    failing = [kept for kept in asking.failing() if not certain or asking.certain(kept)]
    for passing in asking.passing():
        if not certain or asking.certain(passing):
            for kept in failing:
                if len(passing) < len(kept) and passing <= kept:
                    return passing, kept
    return None


def minimality(asking: Asking[T], core: Sequence[T], monotone: bool) -> tuple[Minimal, tuple[frozenset[T], ...]]:
    """Whether each leaf of a set is needed, by what was tried of others."""
    failing = asking.failing()
    known = set(failing)
    proof, direct = [], True
    for leaf in core:
        fewer = frozenset(other for other in core if other != leaf)
        shown = fewer if fewer in known else None
        if shown is None and monotone:
            shown = min((kept for kept in failing if leaf not in kept and fewer <= kept), key=len, default=None)
        if shown is None:
            return Minimal.NOT_PROVED, ()
        direct = direct and shown == fewer
        proof.append(shown)
    return (Minimal.PROVED if direct else Minimal.IMPLIED), tuple(proof)
