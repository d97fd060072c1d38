"""Whether suspects are to blame: builds held to them must fail, and builds without them pass.

Suspicion comes of builds that happened; here they are made to happen, so what is left of chance is that of this trial.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import comb
from typing import Final

from assay_api.repair_tactics import SuspectEntry
from assay_api.report import Verdict
from assay_runner.remedies.case import Design
from assay_runner.remedies.tactics.bench import Bench, Rebuild, failing, passing
from assay_runner.remedies.tactics.blame import DECIDED, Suspect, Tactic

HELD: Final = 3
"""Builds that are held to a suspect."""
MOST_HELD: Final = 4
"""Most of the suspects that rebuilds cannot tell apart, to which builds are held."""


@dataclass(frozen=True)
class Proof:
    """What became of a suspect.

    Attributes:
        suspect: who.
        tactics: of it and those that are alike, the one that made builds fail.
        held: builds that were held to it.
        without: builds in which one of its tactics was forbidden.
    """

    suspect: Suspect
    tactics: tuple[Tactic, ...]
    held: Sequence[Rebuild] = ()
    without: Sequence[Rebuild] = ()

    @property
    def refuted(self) -> bool:
        """Whether a build that was held to it passes."""
        return passing(self.held) > 0

    @property
    def cured(self) -> bool:
        """Whether every build without it passes."""
        return bool(self.without) and passing(self.without) == len(self.without)

    @property
    def blamed(self) -> bool:
        """Whether it is to blame: chance is as good as excluded, by what happened or by what was made to happen."""
        if self.refuted:
            return False
        return self.suspect.decided or self.made <= DECIDED

    @property
    def made(self) -> float:
        """How likely builds that were held to it and builds without it would fall so by chance; 1 where they do not."""
        consistent = self.cured and failing(self.held) == len(self.held)
        return 1 / comb(len(self.held) + len(self.without), len(self.held)) if consistent else 1.0

    def entry(self) -> SuspectEntry:
        """For the report."""
        who = self.suspect
        return SuspectEntry(
            tactics=dict(self.tactics),
            failing_with=who.bad_with,
            failing=who.bad,
            passing=who.good,
            chance=who.chance,
            tried=who.tried,
            alike=tuple(dict(each) for each in (who.tactics, *who.alike) if each != self.tactics),
            held=len(self.held),
            held_failing=failing(self.held),
            without=len(self.without),
            without_passing=passing(self.without),
            made=self.made,
            blamed=self.blamed,
        )


def held(bench: Bench, suspect: Suspect) -> Proof:
    """Hold builds to a suspect; where they pass, to the next of those that are alike.

    Raises:
        OutOfBudget: the budget is spent.
        Unavailable: the store, memory or the device gave out.
    """
    if not bench.holds:
        return Proof(suspect, suspect.tactics)
    proof = Proof(suspect, suspect.tactics)
    for tactics in (suspect.tactics, *suspect.alike)[:MOST_HELD]:
        design = bench.design(f"held to {spoken(tactics)}", replace(bench.order, tactics=dict(tactics)))
        proof = Proof(suspect, tactics, bench.several("held", design, HELD, until=Verdict.PASSED))
        if not proof.refuted:
            break
    return proof


def without(bench: Bench, proofs: Sequence[Proof]) -> tuple[Design, list[Rebuild]] | None:
    """Builds in which no suspect can run, the first set of them that pass; None where none does.

    Of two together it is enough to forbid one; where the one has no other tactic, or others fail too, it is the other.

    Raises:
        OutOfBudget: the budget is spent.
        Unavailable: the store, memory or the device gave out.
    """
    for member in (0, -1) if any(len(proof.tactics) > 1 for proof in proofs) else (0,):
        forbidden = [proof.tactics[member] for proof in proofs]
        design = bench.design(f"without {spoken(forbidden)}", replace(bench.order, forbidden=_by_layer(forbidden)))
        made = bench.several("without", design, bench.count, until=Verdict.FAILED)
        if passing(made) == len(made) and not any(_runs(build, forbidden) for build in made):
            return design, made
    return None


def spoken(tactics: Sequence[Tactic]) -> str:
    """Tactics in words."""
    return " and ".join(f"tactic {_short(tactic)} of layer {layer!r}" for layer, tactic in tactics)


def _short(tactic: str) -> str:
    """Implementation and number, without how tensors lie."""
    return tactic.partition(":")[0]


def _by_layer(tactics: Sequence[Tactic]) -> Mapping[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for layer, tactic in tactics:
        found[layer] = (*found.get(layer, ()), tactic)
    return found


def _runs(build: Rebuild, tactics: Sequence[Tactic]) -> bool:
    return any(build.kernels.tactics.get(layer) == tactic for layer, tactic in tactics)
