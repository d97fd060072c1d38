"""What the outputs say beside a breach inside the network: whoever serves the outputs must know whether they hold."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from assay_api.report import Finding, Verdict
from assay_runner.checks.drift_told import NARROW
from assay_runner.evidence import Evidence

_INSIDE: Final = "layerDrift"
_OF_OUTPUTS: Final = ("outputDrift", "labelAccuracy", "detections", "metric")
"""Checks that judge nothing but what the model gives."""


def told_of_outputs(findings: Iterable[Finding], evidence: Evidence) -> list[Finding]:
    """The findings; a `layerDrift` that failed says that the outputs hold, where all that judge them passed.

    Where one of them did not pass, its own sentence has the next step.
    """
    found = list(findings)
    of_outputs = [finding for finding in found if finding.check in _OF_OUTPUTS]
    if not of_outputs or any(finding.verdict is not Verdict.PASSED for finding in of_outputs):
        return found
    passed = " and ".join(dict.fromkeys(finding.check for finding in of_outputs))
    repair = ", or let `assay repair` look for what to keep wider" if evidence.precision in NARROW else ""
    told = (
        f"; all the same, the outputs hold ({passed} passed); next: leave layerDrift out if they are all that is used"
    )
    return [
        finding.model_copy(update={"message": f"{finding.message}{told}{repair}"})
        if finding.check == _INSIDE and finding.verdict is Verdict.FAILED
        else finding
        for finding in found
    ]
