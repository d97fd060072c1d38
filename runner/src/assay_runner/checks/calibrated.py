"""What a failed finding of an 8-bit candidate says of its calibration."""

from __future__ import annotations

from collections.abc import Iterable

from assay_api.report import Finding, Verdict
from assay_runner.checks.check import spoken
from assay_runner.evidence import Cut, Evidence


def told_of_cut(findings: Iterable[Finding], evidence: Evidence) -> list[Finding]:
    """The findings; the first that failed says of which tensor calibration cuts most, and which method does not."""
    found = list(findings)
    if (cut := evidence.cut) is None:
        return found
    first = next((index for index, finding in enumerate(found) if finding.verdict is Verdict.FAILED), None)
    if first is not None:
        message = f"{found[first].message}; {_told(cut)}"
        found[first] = found[first].model_copy(update={"message": message})
    return found


def _told(cut: Cut) -> str:
    more = f", and of {cut.others} more less than half" if cut.others else ""
    return (
        f"calibration by {cut.method} keeps {100 * cut.end / cut.peak:.2g} % of the range of tensor {cut.tensor!r}, "
        f"which node {cut.node!r} reads ({spoken(cut.end)} of {spoken(cut.peak)}){more}; "
        "method minmax keeps all of it, in coarser steps"
    )
