"""Calibration: the method, number of samples and scales of weights that keep most accuracy.

One pass over the calibration set gives the ranges of all methods and sizes. Each is tried by emulation on the samples
that are searched with, which no range was found with; the best is confirmed by the case's own backend. Where none
passes, half of these samples are calibrated with and the other half judges.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from assay_api.remedies import CalibrationRemedy, Remedies
from assay_api.repair import CoverageEntry
from assay_runner.backends.calibration import WAYS, Way
from assay_runner.backends.found import Found
from assay_runner.backends.order import Quantisation
from assay_runner.backends.sweep import Activations, activations
from assay_runner.digests import cache_key
from assay_runner.errors import CannotBuild, InvalidInput
from assay_runner.graphs.eight_bit import FORMATS, EightBit
from assay_runner.journal import step
from assay_runner.remedies.baseline import Baseline, baseline
from assay_runner.remedies.calibration.coverage import coverage
from assay_runner.remedies.calibration.sources import Swept, found_ranges, halves
from assay_runner.remedies.calibration.tried import SourceName, Tried, best_first
from assay_runner.remedies.calibration.words import against, called, cuts, represents, sentence
from assay_runner.remedies.case import Case
from assay_runner.remedies.judged import Judged
from assay_runner.remedies.remedy import Cure, does_not_apply
from assay_runner.remedies.spending import Oracle, OutOfBudget
from assay_runner.remedies.splits import SEARCH
from assay_runner.remedies.workshop import Workshop

NAME: Final = "calibration"
CONFIRMED: Final = 3
"""Builds that are made to confirm what emulation ranks first."""
OTHER_SCALES: Final = 2
"""Ways of which the other scales of weights are tried, too."""
QUARTER: Final = 4
RESERVED: Final = 1
"""Trials of the case's own backend that are kept back to audit what was found."""


def calibrate_otherwise(case: Case, asked: Remedies, workshop: Workshop) -> Cure:
    """Find a calibration that passes.

    Raises:
        OutOfBudget: the budget is spent before anything passes.
        Unavailable: the store, memory or the device gave out.
    """
    order = case.design.order
    if order.precision not in ("int8", "fp8"):
        return does_not_apply(f"{order.precision} needs no calibration")
    if order.quantisation is None or case.design.calibration is None:
        return does_not_apply(
            "the candidate's own model brings its Q/DQ pairs: give a candidate calibration to have it calibrated here"
        )
    base = baseline(case, workshop, NAME, "calibration")
    if base.hopeless:
        return base.hopeless
    kind: EightBit = "fp8" if order.precision == "fp8" else "int8"
    try:
        with activations(case.design.model, kind, order.held, workshop.scratch) as shown:
            return _Sweep(case, asked.calibration or CalibrationRemedy(), workshop, base, shown).cure()
    except (CannotBuild, InvalidInput) as error:
        return does_not_apply(str(error))


class _Sweep:
    """One sweep."""

    def __init__(
        self, case: Case, asked: CalibrationRemedy, workshop: Workshop, base: Baseline, shown: Activations
    ) -> None:
        own = case.design.order.quantisation
        assert own is not None
        assert case.design.calibration is not None
        self.case, self.asked, self.workshop, self.base, self.shown = case, asked, workshop, base, shown
        self.own, self.set = own, case.whole or case.design.calibration
        self.given = case.design.calibration.samples
        self.mine = Way(own.method, own.percentile)
        self.tried: list[Tried] = []
        self.spent: OutOfBudget | None = None
        self._known: dict[tuple[object, bool, str], Judged] = {}

    def cure(self) -> Cure:
        """The whole of it."""
        ways = tuple(dict.fromkeys((self.mine, *(way for way in WAYS if way.method in self.asked.methods))))
        sizes = (self.given, *(self.asked.samples or [max(1, self.set.samples // QUARTER)]))
        swept = found_ranges(self.shown, self.set, self._identity(self.set.identity), ways, sizes, self.workshop)
        # Where a model takes whole batches, what was given ends with one.
        self.given = min(size for size in swept if size >= min(self.given, max(swept)))
        validation = self.workshop.references[SEARCH].dataset
        self.workshop.doing("looking at what the calibration set covers")
        with step(f"coverage-{self.case.key}", "looking at what the calibration set covers"):
            covered = coverage(self.shown, validation, swept[self.given][self.mine], self.workshop.aside)
        self._try(swept, ways, "calibration", self.workshop)
        best = self._confirmed(self.workshop)
        if best is None and not self.spent:
            best = self._of_dataset(ways)
        return self._cure(best, covered)

    def _of_dataset(self, ways: Sequence[Way]) -> Tried | None:
        """Calibrate with half of the samples that are searched with, and judge on the others."""
        found = halves(self.workshop)
        if found is None:
            return None
        samples, judging = found
        try:
            swept = found_ranges(self.shown, samples, self._identity(judging.data), ways, (), self.workshop)
        except (CannotBuild, InvalidInput) as error:
            # What is not finite on the dataset has no range; what was tried before stands.
            self.workshop.progress.note(f"the dataset cannot be calibrated with: {error}")
            return None
        self._try(swept, ways, "dataset", judging)
        return self._confirmed(judging, "dataset")

    def _try(self, swept: Swept, ways: Sequence[Way], source: SourceName, workshop: Workshop) -> None:
        """All of it by emulation; of the best few also the other scales of weights."""
        try:
            for size in sorted(swept, reverse=True):
                for way in ways:
                    self._one(swept[size][way], way, source, workshop, self.own.per_channel)
            if FORMATS[self.shown.kind].per_channel:
                for each in best_first(self._from(source))[:OTHER_SCALES]:
                    self._one(swept[each.samples][each.way], each.way, source, workshop, not self.own.per_channel)
        except OutOfBudget as error:
            self.spent = error

    def _one(self, found: Found, way: Way, source: SourceName, workshop: Workshop, per_channel: bool) -> None:
        how = Quantisation(way.method, way.percentile, "explicit", per_channel, found)
        design = replace(self.case.design, order=replace(self.case.design.order, quantisation=how), calibration=None)
        named = Tried(design, way, found.samples, source, Judged(said=()))
        design = replace(design, words=called(named))
        same = (found.ranges, per_channel, source)
        if same not in self._known:
            self._check("emulation")
            self._known[same] = workshop.judged(design, NAME, "emulation", names=self.base.telling)
        self.tried.append(replace(named, design=design, judged=self._known[same]))

    def _confirmed(self, workshop: Workshop, source: SourceName = "calibration") -> Tried | None:
        """The best that the case's own backend confirms."""
        ranked = [each for each in best_first(self._from(source)) if each.judged.promising]
        if self.case.emulates or not ranked:
            return next(iter(ranked), None)
        try:
            for each in ranked[:CONFIRMED]:
                self._check("build")
                found = workshop.judged(each.design, NAME, "build", names=self.base.telling)
                built = replace(each, judged=found)
                self.tried[self.tried.index(each)] = built
                if built.judged.promising:
                    return built
        except OutOfBudget as error:
            self.spent = error
        return None

    def _check(self, oracle: Oracle) -> None:
        """Do nothing where enough is left for one more trial and the audit.

        Raises:
            OutOfBudget: it is not.
        """
        spent = self.workshop.spending
        what, most, done = {
            "emulation": ("proposals", spent.budget.proposals, spent.proposals),
            "build": ("builds", spent.budget.builds, spent.builds),
        }[oracle]
        if oracle == self.workshop.oracle and done + RESERVED >= most:
            raise OutOfBudget(f"{done} of {most} {what} (remedies.budget.{what}) are spent, and one is for the audit")

    def _cure(self, best: Tried | None, covered: CoverageEntry) -> Cure:
        ranked = best_first(self.tried)
        if not ranked:
            assert self.spent is not None, "something is tried where there is a budget"
            raise self.spent
        entries = tuple(each.entry(each is best, self._telling()) for each in ranked)
        facts = (represents(covered, f"what it was calibrated with ({self.given} samples)"), cuts(covered))
        return replace(self._said(best, ranked, facts), calibrations=entries, coverage=covered)

    def _said(self, best: Tried | None, ranked: Sequence[Tried], facts: Sequence[str]) -> Cure:
        first = next((each for each in self.tried if each.way == self.mine and self._as_given(each)), None)
        if best is not None:
            apart = "its ranges and this figure are of different samples of it" if best.source == "dataset" else ""
            found = f"{called(best)}, the best of {len(ranked)} calibrations: {against(best, first, self._telling())}"
            return Cure(best.design, sentence((found, apart, *facts)))
        nearest = f"the nearest is {called(ranked[0])}: {against(ranked[0], first, self._telling())}"
        left = ranked[0].design if first is not None and ranked[0].score > first.score else None
        if self.spent:
            return Cure(None, sentence((f"{self.spent}; {nearest}", *facts)), "OutOfBudget", nearest=left)
        none = f"none of {len(ranked)} calibrations passes; {nearest}"
        return Cure(None, sentence((none, *facts)), "NotCured", nearest=left)

    def _telling(self) -> frozenset[str]:
        """Of the checks that failed those by which all can be compared: the dearer are asked only of some."""
        known = [each.judged.measured for each in self.tried if each.judged.measured]
        return self.case.failing.intersection(*known) or self.case.failing

    def _as_given(self, each: Tried) -> bool:
        """Whether it is what the candidate asks for."""
        own = each.per_channel == self.own.per_channel and each.samples == self.given
        return own and each.source == "calibration"

    def _from(self, source: SourceName) -> list[Tried]:
        return [each for each in self.tried if each.source == source]

    def _identity(self, samples: str) -> str:
        return cache_key(model=self.case.design.model.identity, samples=samples)
