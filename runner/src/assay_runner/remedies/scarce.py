"""A set that passes on the samples it was searched with, and by a little not on the others: it had too little to spare.

The worst of the samples that no search has seen is as likely as not worse than the worst of those that were searched
with, and a set from which nothing can be left out passes by little. So what was missing is asked for, a few times, and
the cure says how often. Whoever is told of samples has looked at them, be it by one figure. So half of the unseen ones
tell, then half of what is left, and so on; each set is shown one part after the other, and is judged on all that no
search has been told of, which is looked at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from assay_api.output_details import OutputDriftDetails
from assay_api.report import Finding, Verdict
from assay_runner.remedies.case import Case
from assay_runner.remedies.figures import to_spare
from assay_runner.remedies.judged import RESERVE, Said, margin
from assay_runner.remedies.remedy import Cure

MOST: Final = 1 / 3
"""Margin, 10 dB, beyond which it is no matter of samples, unless most of them hold the limit; no more is asked for."""
ROUNDS: Final = 4
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


def lacking(findings: Sequence[Finding]) -> Lack | None:
    """What a candidate lacks to pass; None where it passes, lacks much, or fails for more than a figure of outputs."""
    failed = [Said.of(finding) for finding in findings if finding.verdict is Verdict.FAILED]
    if not failed or any(said.check != "outputDrift" for said in failed):
        return None
    far = min(failed, key=margin)
    lack = -margin(far)
    few = all(_mostly_held(finding) for finding in findings if finding.verdict is Verdict.FAILED)
    return Lack(str(far.metric), min(lack, MOST)) if 0 < lack <= MOST or (lack > MOST and few) else None


def _mostly_held(finding: Finding) -> bool:
    """Whether the median sample holds the limit that the worst does not: few samples are wrong, if by far."""
    if not isinstance(finding.details, OutputDriftDetails):
        return False
    told = finding.details.model_dump(by_alias=True)
    spreads = [each.get(finding.metric) for each in (told, *told.get("groups", ()))]
    typical = [finding.model_copy(update={"value": spread["p50"]}) for spread in spreads if spread]
    return bool(typical) and all(margin(Said.of(each)) >= 0 for each in typical)


def with_more(case: Case, lack: Lack, had: float = 0.0) -> list[Case]:
    """The case, to be searched with what was missing, 1 dB at least, to spare too; what asks for most comes first.

    Args:
        case: as it was searched.
        lack: what the set that was found lacked on other samples.
        had: margin that it had where it was searched. That, and what was missing, is how much worse the others are:
            less would let through what is as far from right there. Nothing may have so much to spare.
    """
    asked = {case.spare + max(lack.margin, RESERVE), had + max(lack.margin, RESERVE)}
    return [replace(case, spare=spare) for spare in sorted(asked, reverse=True) if spare > case.spare]


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
