"""What a failed finding of an 8-bit candidate says of its calibration."""

from __future__ import annotations

from collections.abc import Iterable

from assay_api.report import Finding, Verdict
from assay_runner.checks.check import spoken
from assay_runner.evidence import Cut, Evidence, Unlike


def told_of_calibration(findings: Iterable[Finding], evidence: Evidence) -> list[Finding]:
    """The findings; the first that failed says what is wrong with the calibration, where something is.

    That the set is not like the samples, and of which tensor most is cut, and which method does not.
    """
    found = list(findings)
    told = [_unlike(evidence.unlike, cut=bool(evidence.cut))] if evidence.unlike else []
    told += [_told(evidence.cut)] if evidence.cut else []
    first = next((index for index, finding in enumerate(found) if finding.verdict is Verdict.FAILED), None)
    if first is not None and told:
        found[first] = found[first].model_copy(update={"message": "; ".join((found[first].message, *told))})
    return found


def _unlike(unlike: Unlike, *, cut: bool) -> str:
    small = unlike.largest < unlike.seen and not cut
    fewer = ", or by percentile where few of the set are so large" if small else ""
    return (
        f"input {unlike.tensor!r} has magnitudes up to {spoken(unlike.largest)} in these samples, and up to "
        f"{spoken(unlike.seen)} in the calibration set: calibrate on samples like these, prepared as they are{fewer}"
    )


def _told(cut: Cut) -> str:
    more = f", and of {cut.others} more less than half" if cut.others else ""
    return (
        f"calibration by {cut.method} keeps {100 * cut.end / cut.peak:.2g} % of the range of tensor {cut.tensor!r}, "
        f"which node {cut.node!r} reads ({spoken(cut.end)} of {spoken(cut.peak)}){more}; "
        "method minmax keeps all of it, in coarser steps"
    )
