"""Does a metric of the user's own still hold?"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

import numpy as np
from pydantic import Field, StringConstraints

from assay_api.fields import ArrayName, Share
from assay_api.model import Rule
from assay_api.output_details import MetricDetails
from assay_api.report import Finding, Verdict
from assay_runner.checks.check import Check
from assay_runner.evidence import Evidence, Scores, ScoresWanted

MetricName = Annotated[str, StringConstraints(min_length=1, max_length=253)]


class MetricCheck(Check):
    """Does a metric of your own still hold?

    The metric is a function in the runner image, found by its entry point in the group assay.metrics; it scores every
    sample, more is better. The mean over the dataset is judged: by the share of golden's own mean that it keeps, or by
    a bound.
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
    """Share of golden's own mean that must remain. Default 0.99 where atLeast is not given."""
    at_least: float | None = Field(default=None, ge=-1e12, le=1e12)
    """Smallest mean, whatever golden's is."""
    output: ArrayName | None = None
    """Output that is scored. Default: the first."""

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
        golden, mean = float(scores.golden.mean()), float(scores.candidate.mean())
        told = (
            f"metric {self.metric!r} of output {scores.site.tensor!r}: {mean:.6g} on average over "
            f"{scores.candidate.size} samples, golden's own {golden:.6g}"
        )
        fields: dict[str, Any]
        details = MetricDetails(mean=mean, golden_mean=golden, samples=scores.candidate.size)
        if self.at_least is not None:
            bound, bar = self.at_least, f"{self.at_least:g}"
            fields = {"metric": "mean", "value": mean, "limit": bound}
        elif np.isfinite(golden) and golden > 0:
            keep = 0.99 if self.keep is None else self.keep
            bound, bar = keep * golden, f"{100 * keep:g} % of golden's, {keep * golden:.6g}"
            fields = {"metric": "kept", "value": mean / golden, "limit": keep}
        else:
            reason = f"{told}, of which a share says nothing: give atLeast in place of keep, or look at the metric"
            return (self.inconclusive(evidence, reason, scores.site, details=details),)
        message = f"{told}; must be at least {bar}"
        if mean >= bound:
            return (self.finding(evidence, Verdict.PASSED, message, scores.site, **fields, details=details),)
        worst = _worst(scores)
        if worst is not None:
            message, details = (
                f"{message}; sample {worst} lost most",
                details.model_copy(update={"worst_sample": worst}),
            )
        return (self.finding(evidence, Verdict.FAILED, message, scores.site, **fields, details=details),)


def _worst(scores: Scores) -> int | None:
    """The sample that lost most against golden, NaN before all; None where none lost anything."""
    lost = scores.golden - scores.candidate
    # Of several numbers the largest is NaN where one of them is.
    worst = int(np.argmax(lost))
    return None if lost[worst] <= 0 else worst
