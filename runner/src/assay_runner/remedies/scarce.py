"""A set that passes on the samples it was searched with, and by a little not on the others: it had too little to spare.

The worst of the samples that no search has seen is as likely as not worse than the worst of those that were searched
with, and a set from which nothing can be left out passes by little. So what was missing is asked for, a few times, and
the cure says how often. Whoever is told of samples has looked at them, be it by one figure. So half of the unseen ones
tell, then half of what is left, and so on; each set is shown one part after the other, and is judged on all that no
search has been told of, which is looked at once.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from assay_api.output_details import OutputDriftDetails
from assay_api.report import Finding, Verdict
from assay_runner.remedies.case import Case
from assay_runner.remedies.figures import to_spare
from assay_runner.remedies.judged import RESERVE, Said, in_decibels, margin
from assay_runner.remedies.remedy import Cure

MOST: Final = 1 / 3
"""Margin, 10 dB, beyond which it is no matter of samples, unless most of them hold the limit; no more is asked for."""
ROUNDS: Final = 4
"""Times that more is asked for."""
FEWEST: Final = 3
"""Samples of which the median one tells anything of most of them."""


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
    failed = [finding for finding in findings if finding.verdict is Verdict.FAILED]
    margins = [(margin(said), str(said.metric)) for said in map(Said.of, failed)]
    if not failed or any(each.check != "outputDrift" for each in failed):
        return None
    least, metric = min(margins)
    if not all(math.isfinite(each) for each, _ in margins) or least >= 0:
        return None  # What is not finite is not mended by more to spare.
    if -least > MOST and not all(map(_mostly_held, failed)):
        return None
    return Lack(metric, min(-least, MOST))


def _mostly_held(finding: Finding) -> bool:
    """Whether the median sample holds the limit that the worst does not: few samples are wrong, if by far."""
    details = finding.details
    if not isinstance(details, OutputDriftDetails) or details.samples < FEWEST:
        return False
    told = details.model_dump(by_alias=True)
    spreads = [each.get(finding.metric) for each in (told, *told.get("groups", ()))]
    typical = [Said.of(finding.model_copy(update={"value": each["p50"]})) for each in spreads if isinstance(each, dict)]
    return bool(typical) and all(margin(said) >= 0 for said in typical)


def with_more(case: Case, lack: Lack, had: float = 0.0) -> list[Case]:
    """The case, to be searched with what was missing, 1 dB at least, to spare too; what asks for most comes first.

    Args:
        case: as it was searched.
        lack: what the set that was found lacked on other samples.
        had: margin by the same metric that it had where it was searched. With what was missing, that is how much worse
            the others are: less would let through what is as far from right there. Nothing may have so much to spare.
    """
    asked = {_worse(each, lack) for each in (case.spare, max(case.spare, had))}
    return [replace(case, spare=spare) for spare in sorted(asked, reverse=True)]


def _worse(spare: float, lack: Lack) -> float:
    """Margin from which so much may be lost: decibels add up, other figures grow by a factor."""
    more = max(lack.margin, RESERVE)
    return spare + more if in_decibels(lack.metric) else 1 - (1 - spare) / (1 + more)


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
