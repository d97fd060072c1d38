"""That an engine passes by so little that another build of it may not.

Builds of one order differ. What was audited is one of them, and that one is deployed; but its recipe makes another.
"""

from __future__ import annotations

from typing import Final

from assay_api.report import CandidateReport, Verdict
from assay_runner.remedies.judged import CLEAR, Said, margin
from assay_runner.report.figures import bound, figure, named

__all__ = ["near_limit"]

_WEIGHED: Final = ("snr", "psnr", "cosine")
"""Metrics of outputs that every build moves a little; shares of samples are near 1 wherever all is well."""


def near_limit(candidate: CandidateReport) -> str | None:
    """The output that is nearest to its limit, where another build may come out beyond it; nothing of an emulation.

    None, too, where it does not pass, or was given as a plan that nobody here builds.
    """
    if candidate.emulated or candidate.verdict is not Verdict.PASSED or not candidate.builds:
        return None
    known = [
        (margin(_said(name, metric.worst, metric.limit)), output.name, name, metric.worst, metric.limit)
        for output in candidate.outputs
        for name, metric in output.metrics.items()
        if name in _WEIGHED and metric.limit is not None
    ]
    nearest = min(known, default=None)
    if nearest is None or not 0 <= nearest[0] < CLEAR:
        return None
    _, output, name, value, limit = nearest
    return (
        f"{candidate.name} passes by little, {named(name)} {figure(name, value)} ({bound(name, limit)}) of output "
        f"'{output}', and builds of one order differ: deploy the engine that was audited, and audit what is built anew"
    )


def _said(metric: str, value: float, limit: float | None) -> Said:
    return Said(check="outputDrift", verdict=Verdict.PASSED, message="", metric=metric, value=value, limit=limit)
