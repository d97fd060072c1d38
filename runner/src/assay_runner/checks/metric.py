"""Does a metric of the user's own still hold?"""

from __future__ import annotations

from typing import Annotated, ClassVar, Final, NamedTuple

import numpy as np
from pydantic import Field, StringConstraints

from assay_api.fields import ArrayName, Share
from assay_api.model import Rule
from assay_api.output_details import MetricDetails
from assay_api.report import Finding, Verdict
from assay_runner.checks.check import Check
from assay_runner.evidence import Evidence, Scores, ScoresWanted
from assay_runner.statistics.bootstrap import Reduced

FEWEST: Final = 20
"""Samples below which drawing them anew says nothing of others."""
MetricName = Annotated[str, StringConstraints(min_length=1, max_length=253)]


class MetricCheck(Check):
    """Does a metric of your own still hold?

    The metric is code in the runner image, found by its entry point in the group assay.metrics; more is better. A
    function scores every sample of one output, and the mean over the dataset is judged; an object may see all outputs
    and reduce the dataset to one figure, which is judged by the 95 % interval of a paired bootstrap. Either by the
    share of golden's own that it keeps, or by a bound.
    """

    name: ClassVar[str] = "metric"
    RULES: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "!(has(self.keep) && has(self.atLeast))",
            lambda check: check.keep is None or check.at_least is None,
            "a metric is judged by keep (a share of golden's) or by atLeast (a bound), not by both",
        ),
    )

    metric: MetricName = Field(alias="name")
    """Name of its entry point."""
    keep: Share | None = None
    """Share of golden's own figure that must remain. Default 0.99 where atLeast is not given."""
    at_least: float | None = Field(default=None, ge=-1e12, le=1e12)
    """Smallest figure, whatever golden's is."""
    output: ArrayName | None = None
    """Output that is scored. Default: the first; for an object, all."""

    @property
    def needs(self) -> tuple[ScoresWanted]:
        """The metric's scores."""
        return (ScoresWanted(self.metric, self.output or ""),)

    @property
    def outputs_read(self) -> tuple[str, ...]:
        """The output that is scored."""
        return (self.output,) if self.output else ()

    def judge(self, evidence: Evidence) -> tuple[Finding, ...]:
        """One finding."""
        if reason := self.unmeasured(evidence):
            return (self.inconclusive(evidence, reason),)
        scores = evidence.of(*self.needs)
        if scores is None or not scores.candidate.size:
            return (self.inconclusive(evidence, f"metric {self.metric!r} was not measured"),)
        whole = scores.whole
        return (self._mean(evidence, scores) if whole is None else self._reduced(evidence, scores, whole),)

    def _mean(self, evidence: Evidence, scores: Scores) -> Finding:
        golden, mean = float(scores.golden.mean()), float(scores.candidate.mean())
        told = (
            f"{self._called(scores)}: {mean:.6g} on average over {scores.candidate.size} samples, "
            f"golden's own {golden:.6g}"
        )
        details = MetricDetails(mean=mean, golden_mean=golden, samples=scores.candidate.size)
        bar = self._bar(golden)
        if bar is None:
            return self._no_share(evidence, told, scores, details)
        kept = self.at_least is None
        value = mean / golden if kept else mean
        fields = {"metric": "kept" if kept else "mean", "value": value, "limit": bar.limit}
        message = f"{told}; must be at least {bar.words}"
        if mean >= bar.bound:
            return self.finding(evidence, Verdict.PASSED, message, scores.site, **fields, details=details)
        message, details = _with_worst(message, scores, details)
        return self.finding(evidence, Verdict.FAILED, message, scores.site, **fields, details=details)

    def _reduced(self, evidence: Evidence, scores: Scores, whole: Reduced) -> Finding:
        samples, kept = scores.candidate.size, self.at_least is None
        low, high = (whole.kept_low, whole.kept_high) if kept else (whole.low, whole.high)
        told = f"{self._called(scores)}: {whole.candidate:.6g} of {samples} samples, golden's own {whole.golden:.6g}"
        details = MetricDetails(
            mean=whole.candidate, golden_mean=whole.golden, samples=samples, low=low, high=high,
            resamples=whole.resamples,
        )  # fmt: skip
        bar = self._bar(whole.golden)
        if bar is None:
            return self._no_share(evidence, told, scores, details)
        value = whole.candidate / whole.golden if kept else whole.candidate
        fields = {"metric": "kept" if kept else "score", "value": value, "limit": bar.limit}
        what = "the share of golden's that is kept" if kept else "it"
        message = f"{told}; must be at least {bar.words}, and with 95 % confidence {what} is {low:.4g} to {high:.4g}"
        if not np.isfinite(whole.candidate) or high < bar.limit:
            message, details = _with_worst(message, scores, details)
            return self.finding(evidence, Verdict.FAILED, message, scores.site, **fields, details=details)
        if samples < FEWEST:
            reason = f"{told}; {samples} samples are too few for an interval: give it {FEWEST} or more"
            return self.inconclusive(evidence, reason, scores.site, **fields, details=details)
        if low >= bar.limit:
            return self.finding(evidence, Verdict.PASSED, message, scores.site, **fields, details=details)
        message = f"{message}: these samples do not settle it, give it more"
        return self.inconclusive(evidence, message, scores.site, **fields, details=details)

    def _called(self, scores: Scores) -> str:
        of = "" if scores.several else f" of output {scores.site.tensor!r}"
        return f"metric {self.metric!r}{of}"

    def _bar(self, golden: float) -> _Bar | None:
        """What must be reached; None where a share of golden's own figure says nothing."""
        if self.at_least is not None:
            return _Bar(self.at_least, self.at_least, f"{self.at_least:g}")
        if not (np.isfinite(golden) and golden > 0):
            return None
        keep = 0.99 if self.keep is None else self.keep
        return _Bar(keep * golden, keep, f"{100 * keep:g} % of golden's, {keep * golden:.6g}")

    def _no_share(self, evidence: Evidence, told: str, scores: Scores, details: MetricDetails) -> Finding:
        reason = f"{told}, of which a share says nothing: give atLeast in place of keep, or look at the metric"
        return self.inconclusive(evidence, reason, scores.site, details=details)


class _Bar(NamedTuple):
    """What a figure must reach.

    Attributes:
        bound: in the figure's own terms.
        limit: as the spec has it, a share or a bound.
        words: in a sentence.
    """

    bound: float
    limit: float
    words: str


def _with_worst(message: str, scores: Scores, details: MetricDetails) -> tuple[str, MetricDetails]:
    """Name the sample that lost most, where one lost anything."""
    worst = _worst(scores)
    if worst is None:
        return message, details
    return f"{message}; sample {worst} lost most", details.model_copy(update={"worst_sample": worst})


def _worst(scores: Scores) -> int | None:
    """The sample that lost most against golden; None where none lost anything.

    NaN before all, but where a figure of the dataset is judged and a sample may have none of its own: then of those
    that do.
    """
    loss = scores.golden - scores.candidate
    if scores.whole is not None:
        loss = np.where(np.isfinite(loss), loss, 0)
    # Of several numbers the largest is NaN where one of them is.
    worst = int(np.argmax(loss))
    return None if loss[worst] <= 0 else worst
