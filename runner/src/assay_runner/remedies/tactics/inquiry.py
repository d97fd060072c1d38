"""One candidate's inquiry: how far builds are repeated, what is concluded of them, and what is proposed."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Final, Literal

from assay_api.repair_tactics import RungEntry, TacticsEntry
from assay_api.report import Verdict
from assay_runner.remedies.case import Design
from assay_runner.remedies.remedy import Cure, does_not_apply
from assay_runner.remedies.spending import OutOfBudget
from assay_runner.remedies.tactics import ladder, words
from assay_runner.remedies.tactics.bench import Bench, Rebuild, failing, latency, outputs, passing
from assay_runner.remedies.tactics.blame import explained, likeliest, suspected, within
from assay_runner.remedies.tactics.proof import HELD, Proof, held, without
from assay_runner.remedies.tactics.routes import Turned, confirmed, scanned
from assay_runner.remedies.tactics.shaking import shaken

MOST: Final = 4
"""Times as many builds as were asked for, at most, until it is decided what to blame."""
MOST_SUSPECTS: Final = 6
"""Most suspects to which builds are held."""


class Inquiry:
    """Looks for what to blame, and for builds that pass."""

    def __init__(self, bench: Bench) -> None:
        """Nothing is built yet."""
        self.bench = bench
        self.proofs: list[Proof] = []
        self.rungs: list[RungEntry] = []
        self.turned: list[Turned] = []
        self._shaken = 0

    def cure(self) -> Cure:
        """What was found.

        Raises:
            OutOfBudget: the budget is spent.
            Unavailable: the store, memory or the device gave out.
        """
        first = self.bench.build("free", self.free)
        if not first.kernels.bits:
            return self.ended(f"it could not be built and run again: {_because(first)}", "Inconclusive")
        if not first.kernels.tactics:
            return does_not_apply("nothing tells which tactics this engine runs: neither its builder nor its inspector")
        self.bench.several("free", self.free, self.bench.count - 1)
        if not self.bench.seen():
            return self.ended(f"no rebuild could be judged: {_because(first)}", "Inconclusive")
        self._repeat()
        if not self._seen(Verdict.FAILED):
            return self._none_failed()
        return self._mixed() if self._seen(Verdict.PASSED) else self._all_failed()

    @property
    def free(self) -> Design:
        """The candidate as it is asked for, every layer by the builder's choice."""
        return self.bench.design("built again, timed anew")

    def so_far(self) -> str:
        """What was seen until now, in a few words."""
        if not self.bench.done:
            return "nothing was built"
        suspect = likeliest(self.bench.seen())
        return words.so_far(self.bench.of("free", "shaken"), suspect)

    def ended(
        self,
        message: str,
        why: Literal["Found", "NotCured", "Inconclusive", "OutOfBudget"],
        design: Design | None = None,
    ) -> Cure:
        """What is told of it."""
        entry = TacticsEntry(
            rebuilds=self.bench.entries(),
            suspects=tuple(proof.entry() for proof in self.proofs),
            ladder=tuple(self.rungs),
            knobs=tuple(turned.entry() for turned in self.turned),
        )
        return Cure(design, message, why, tactics=entry)

    def _repeat(self) -> None:
        """Build until it is decided what to blame, or often enough."""
        seen = self.bench.seen()
        while len(seen) < MOST * self.bench.count:
            suspects = suspected(seen)
            if suspects and explained(seen, suspects):
                return
            both = self._seen(Verdict.PASSED) and self._seen(Verdict.FAILED)
            if not both and (not self.bench.holds or self._shaken >= self.bench.count):
                return
            self._once_more()
            again = self.bench.seen()
            if len(again) == len(seen):
                return  # It cannot be judged any more: that is no answer, however often.
            seen = again

    def _once_more(self) -> None:
        """One more build, shaken where it can be."""
        if not self.bench.holds:
            self.bench.build("free", self.free)
            return
        self._shaken += 1
        builds = self.bench.of("free", "shaken")
        # Of the kind that there are more of: what is forbidden turns it into the other.
        wanted = Verdict.PASSED if passing(builds) > failing(builds) else Verdict.FAILED
        base = [build for build in builds if build.verdict is wanted][-1]
        forbidden = shaken(base.kernels.tactics, self._shaken)
        self.bench.build("shaken", words.shaken(self.bench, forbidden))

    def _none_failed(self) -> Cure:
        """No build fails again."""
        builds = self.bench.of("free")
        if outputs(builds) > 1:
            self._climb(builds)
        return self.ended(words.none_failed(builds, self.bench.of("shaken"), self.rungs), _doubt(self.rungs))

    def _all_failed(self) -> Cure:
        """Every build fails, whatever it runs."""
        self.turned = scanned(self.bench)
        if found := confirmed(self.bench, self.turned):
            turned, design = found
            return self.ended(words.turned(turned, self.turned), "Found", design)
        builds = self.bench.of("free", "shaken")
        if self.bench.affords(self.bench.count):
            made = self.bench.several("noChoice", ladder.no_choice(self.bench), self.bench.count, Verdict.FAILED)
            if passing(made) == len(made):
                self.rungs.append(ladder.told_no_choice(made, latency(builds)))
                return self.ended(words.no_choice(builds, made), "Found", made[0].design)
        return self.ended(words.all_failed(builds, self.turned), "NotCured")

    def _mixed(self) -> Cure:
        """Some builds fail and some pass."""
        self._prove()
        standing = [proof for proof in self.proofs if not proof.refuted]
        cure = without(self.bench, standing) if standing and self.bench.holds else None
        if cure:
            self.proofs = [replace(p, without=cure[1]) if p in standing else p for p in self.proofs]
        if not cure or outputs(self.bench.of("free")) > 1:
            self._climb(self.bench.of("free", "shaken"))
        blamed = [proof for proof in self.proofs if proof.blamed]
        said = words.blamed(blamed, self.proofs, self.bench)
        if cure and blamed:
            return self.ended(f"{said}; {words.cured(cure)}", "Found", cure[0])
        if rung := self._rung():
            return self.ended(f"{said}; {words.of_rung(*rung)}", "Found", rung[0])
        return self.ended(f"{said}; {words.uncured(self.bench, self.rungs)}", "NotCured" if blamed else "Inconclusive")

    def _prove(self) -> None:
        """Hold builds to one suspect after the other, until every build that fails has one."""
        left, harmless = self.bench.seen(), list[Mapping[str, str]]()
        while (suspect := likeliest(left, harmless)) and len(self.proofs) < MOST_SUSPECTS:
            if not self.bench.affords(HELD + self.bench.count):
                return
            proof = held(self.bench, suspect)
            self.proofs.append(proof)
            if proof.refuted:
                passed = [build for build in self.bench.of("held") if build.verdict is Verdict.PASSED]
                harmless = [build.kernels.tactics for build in passed]
                continue
            if not (suspect.decided or failing(proof.held)):
                return
            left = [build for build in left if not within(proof.tactics, build.tactics)]

    def _climb(self, builds: list[Rebuild]) -> None:
        with suppress(OutOfBudget):  # What was found stands without it.
            self.rungs += ladder.climbed(self.bench, builds, latency(self.bench.of("free")))

    def _rung(self) -> tuple[Design, RungEntry] | None:
        """The fastest rung whose builds all pass."""
        found = [r for r in self.rungs if r.rung != "plan" and r.verdict is Verdict.PASSED and r.passing == r.builds]
        if not found:
            return None
        best = min(found, key=lambda rung: rung.latency_ms or float("inf"))
        return next(build.design for build in self.bench.done if build.how == best.rung), best

    def _seen(self, verdict: Verdict) -> bool:
        return any(build.verdict is verdict for build in self.bench.of("free", "shaken"))


def _because(build: Rebuild) -> str:
    worst = build.judged.worst
    return worst.message if worst else "no check says anything"


def _doubt(rungs: list[RungEntry]) -> Literal["NotCured", "Inconclusive"]:
    """Builds that neither fail nor repeat, and cannot be held still, are no answer."""
    return (
        "Inconclusive"
        if any(rung.rung == "pinned" and rung.verdict is not Verdict.PASSED for rung in rungs)
        else ("NotCured")
    )
