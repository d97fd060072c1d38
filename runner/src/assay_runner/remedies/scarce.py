"""A set that passes on the samples it was searched with, and by a little not on the others: it had too little to spare.

The worst of the samples that no search has seen is as likely as not worse than the worst of those that were searched
with, and a set from which nothing can be left out passes by little. So what was missing is asked for, a few times, and
the cure says how often. Whoever is told of samples has looked at them, be it by one figure. So half of the unseen ones
tell, and are looked at first; a set that passes there at once is judged on all, and one that was asked for on the other
half alone, which is looked at once.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

from assay_api.report import Finding, Verdict
from assay_runner.remedies.case import Case
from assay_runner.remedies.figures import to_spare
from assay_runner.remedies.judged import RESERVE, Said, margin
from assay_runner.remedies.remedy import Cure

MOST: Final = 1 / 3
"""Margin, 10 dB, beyond which it is no matter of samples."""
ROUNDS: Final = 3
"""Searches that ask for more."""


@dataclass(frozen=True)
class Lack:
    """What was missing.

    Attributes:
        metric: of the output that lacked most.
        margin: how far beyond its limit that was, in shares as of `margin`; above 0.
    """

    metric: str
    margin: float


def lacking(findings: Iterable[Finding]) -> Lack | None:
    """What a candidate lacks to pass; None where it passes, lacks much, or fails for more than a figure of outputs."""
    failed = [Said.of(finding) for finding in findings if finding.verdict is Verdict.FAILED]
    if not failed or any(said.check != "outputDrift" for said in failed):
        return None
    far = min(failed, key=margin)
    return Lack(str(far.metric), -margin(far)) if 0 < -margin(far) <= MOST else None


def with_more(case: Case, lack: Lack) -> Case:
    """The case, to be searched with what was missing, 1 dB at least, to spare too."""
    return replace(case, spare=case.spare + max(lack.margin, RESERVE))


def told(cure: Cure, case: Case, metric: str, failed: int) -> Cure:
    """What was found so, with how.

    Args:
        cure: what was found.
        case: what it was asked to have to spare.
        metric: of the limit.
        failed: how many sets failed before it on samples that no search has seen.
    """
    less = "a set with less" if failed == 1 else f"{failed} sets with less"
    why = f"as {less} passed on the samples that are searched with and not on the others"
    return replace(cure, message=f"{cure.message}; searched with {to_spare(metric, case.spare)} to spare, {why}")
