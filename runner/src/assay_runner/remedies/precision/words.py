"""What a search came to, in words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Literal

from assay_runner.remedies.remedy import Cure, does_not_apply
from assay_runner.search import Minimal, Outcome, Why

Needed = Literal["Proved", "Implied", "Proposed", "NotProved"]
_NEEDED: Final[dict[Minimal, Needed]] = {
    Minimal.PROVED: "Proved",
    Minimal.IMPLIED: "Implied",
    Minimal.PROPOSED: "Proposed",
    Minimal.NOT_PROVED: "NotProved",
}


def needed(outcome: Outcome[str]) -> Needed:
    """Whether each node of the best set is needed: not those that are in it to spare casts."""
    return _NEEDED[outcome.minimal] if outcome.core == outcome.best else "NotProved"


def must_run_wider(
    outcome: Outcome[str], named: Callable[[frozenset[str]], str], nodes: int, kinds: str, precision: str
) -> str:
    """Which nodes must run wider, which beside them spare casts, and how sure that is.

    Args:
        outcome: of the search, which found some.
        named: names the first few of a set.
        nodes: how many could run wider.
        kinds: what they run in, for people.
        precision: of all else.
    """
    best = outcome.best or frozenset()
    core = outcome.core or best
    beside = f"; {named(best - core)} too, which spares casts" if best - core else ""
    how = {
        Why.FOUND: "",
        Why.BUDGET: "; the budget was spent before fewer could be tried: it is the best so far",
    }.get(outcome.why, "; answers near a limit left doubts: see the trials")
    harm = "; a larger set fails, so that more is not safer" if outcome.violation else ""
    narrow = precision.upper()
    fewer = [kept for kept in outcome.passing if len(kept) < nodes]
    if len(best) == nodes > 1 and (fewer or outcome.why is Why.BUDGET):
        least = f"{min(map(len, fewer))} of them are enough, but cost more casts" if fewer else ""
        spent = f"the budget was spent before a set was found that leaves any of them in {narrow}"
        return f"all {nodes} nodes run in {kinds}: {least or spent}{harm}"
    left = f"all else stays {narrow}" if len(best) < nodes else f"none can stay {narrow}"
    return f"{len(core)} of {nodes} nodes must run in {kinds}: {named(core)}{beside}; {left}{how}{harm}"


def nothing(outcome: Outcome[str], most: int | None, left: str = "") -> Cure:
    """Why a search came to nothing, or to nothing that may be had; `left`: what cannot be kept wide."""
    tried = sum(outcome.evaluations.values())
    if outcome.best:
        return Cure(
            None, f"{len(outcome.best)} nodes must run wider, more than remedies.precision.mostNodes {most}", "NotCured"
        )
    if outcome.best is not None:
        return does_not_apply("on the samples that are searched with it passes as it is: raise remedies.searchShare")
    match outcome.why:
        case Why.WIDE_FAILS:
            return Cure(None, f"with every node kept wide that can be it fails, too{left}", "NotCured")
        case Why.BUDGET:
            return Cure(None, f"nothing that passes was found within the budget ({tried} trials)", "OutOfBudget")
        case _:
            return Cure(None, f"answers contradict each other or stay open ({tried} trials)", "Inconclusive")
