"""Does the candidate keep the golden run's accuracy on the labels?"""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from assay_api.fields import ArrayName, Share
from assay_api.output_details import LabelAccuracyDetails
from assay_api.report import Finding, Verdict
from assay_runner.checks.check import Check
from assay_runner.evidence import Evidence, LabelRanks, LabelsWanted
from assay_runner.statistics.paired import Pairs, bounds, keeps, samples_to_settle


class LabelAccuracy(Check):
    """Does the candidate keep the golden run's accuracy on the labels?

    Judged by a paired one-sided 95 % interval, so that few samples cannot pass a strict bar; too few are Inconclusive,
    with the number that would settle it.
    """

    name: ClassVar[str] = "labelAccuracy"

    metric: Literal["top1", "top5"] = "top1"
    """Share of samples whose label is the largest (top1), or among the five largest (top5), elements of the output.
    Default top1."""
    keep: Share = Field(default=0.99)
    """Share of the golden run's metric that must remain. Default 0.99."""
    interval: Literal["paired", "none"] = "paired"
    """paired (default): the whole one-sided 95 % interval must lie above the bar. none: the metric itself must, for a
    validation set that is the whole population."""
    output: ArrayName | None = None
    """Output that holds the class scores, last axis = classes, or, as whole numbers, the class of each sample.
    Default: the first."""

    @property
    def needs(self) -> tuple[LabelsWanted]:
        """How labels rank in the output."""
        return (LabelsWanted(self.output or ""),)

    @property
    def outputs_read(self) -> tuple[str, ...]:
        """The output that scores are read from."""
        return (self.output,) if self.output else ()

    def judge(self, evidence: Evidence) -> tuple[Finding, ...]:
        """One finding: the share of golden's metric that remains, against `keep`."""
        if reason := self.unmeasured(evidence):
            return (self.inconclusive(evidence, reason),)
        ranks = evidence.of(*self.needs)
        if ranks is None or not ranks.golden.size:
            return (self.inconclusive(evidence, "the labels were not compared with any output"),)
        if ranks.classes == 1:
            reason = (
                f"output {ranks.output!r} has one score per sample, from which {self.metric} cannot be told: name an "
                "output with a score per class in labelAccuracy.output, or judge this one by outputDrift"
            )
            return (self.inconclusive(evidence, reason),)
        if not ranks.classes and self._k > 1:
            reason = f"output {ranks.output!r} holds one class per sample and no scores, from which top5 cannot be told"
            return (self.inconclusive(evidence, f"{reason}: use metric top1"),)
        if 0 < ranks.classes <= self._k:
            reason = f"{self.metric} says nothing about {ranks.classes} classes: use metric top1"
            return (self.inconclusive(evidence, reason),)
        pairs = _pairs(ranks, self._k)
        if pairs.both + pairs.golden == 0:
            reason = f"golden's {self.metric} is 0 on {ranks.golden.size} samples: are these the labels of this output?"
            return (self.inconclusive(evidence, reason, details=self._details(pairs)),)
        return (self._paired(evidence, pairs) if self.interval == "paired" else self._point(evidence, pairs),)

    @property
    def _k(self) -> int:
        return 5 if self.metric == "top5" else 1

    def _measured(self, pairs: Pairs) -> str:
        candidate, golden = (_percent(hits / pairs.samples) for hits in _hits(pairs))
        return (
            f"{self.metric} {candidate} against golden's {golden} on {pairs.samples:.0f} samples keeps "
            f"{_percent(pairs.ratio)} of it"
        )

    def _point(self, evidence: Evidence, pairs: Pairs) -> Finding:
        kept = pairs.both + pairs.candidate >= self.keep * (pairs.both + pairs.golden)
        relation = "at least" if kept else "less than"
        message = f"{self._measured(pairs)}, {relation} the {_percent(self.keep)} that must remain"
        return self._found(evidence, Verdict.PASSED if kept else Verdict.FAILED, message, pairs)

    def _paired(self, evidence: Evidence, pairs: Pairs) -> Finding:
        low, high = bounds(pairs)
        kept = keeps(pairs, self.keep)
        if kept:
            text = f"with 95 % confidence at least {_percent(low)}, and {_percent(self.keep)} must remain"
            return self._found(evidence, Verdict.PASSED, f"{self._measured(pairs)}, {text}", pairs)
        if kept is False:
            text = f"with 95 % confidence at most {_percent(high)}, and {_percent(self.keep)} must remain"
            return self._found(evidence, Verdict.FAILED, f"{self._measured(pairs)}, {text}", pairs)
        needed = samples_to_settle(pairs, self.keep)
        settle = f"about {needed} samples like these would" if needed else "no number of samples like these would"
        message = (
            f"{self._measured(pairs)}, too few samples to say with 95 % confidence whether {_percent(self.keep)} "
            f"remains (it may be as little as {_percent(low)}): {settle} settle it"
        )
        return self._found(evidence, Verdict.INCONCLUSIVE, message, pairs, needed or None)

    def _found(
        self, evidence: Evidence, verdict: Verdict, message: str, pairs: Pairs, needed: int | None = None
    ) -> Finding:
        details = self._details(pairs, needed)
        share = pairs.ratio
        return self.finding(
            evidence, verdict, message, metric=f"{self.metric}Kept", value=share, limit=self.keep, details=details
        )

    def _details(self, pairs: Pairs, needed: int | None = None) -> LabelAccuracyDetails:
        low, high = bounds(pairs)
        candidate, golden = (hits / pairs.samples for hits in _hits(pairs))
        return LabelAccuracyDetails(
            top1=candidate if self.metric == "top1" else None,
            golden_top1=golden if self.metric == "top1" else None,
            top5=candidate if self.metric == "top5" else None,
            golden_top5=golden if self.metric == "top5" else None,
            both_hit=int(pairs.both),
            only_golden_hits=int(pairs.golden),
            only_candidate_hits=int(pairs.candidate),
            neither_hits=int(pairs.neither),
            kept_lower_bound=low,
            kept_upper_bound=high,
            interval=self.interval,
            samples_to_settle=needed,
        )


def _pairs(ranks: LabelRanks, k: int) -> Pairs:
    golden, candidate = ranks.golden < k, ranks.candidate < k
    return Pairs(
        both=int((golden & candidate).sum()),
        golden=int((golden & ~candidate).sum()),
        candidate=int((~golden & candidate).sum()),
        neither=int((~golden & ~candidate).sum()),
    )


def _hits(pairs: Pairs) -> tuple[float, float]:
    return pairs.both + pairs.candidate, pairs.both + pairs.golden


def _percent(share: float) -> str:
    return f"{100 * share:.2f} %"
