"""What nobody can do better than: the candidate with nothing of it narrow. Where that fails, no remedy of it helps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from assay_api.report import Verdict
from assay_runner.backends.conversion import listed
from assay_runner.remedies.case import Case
from assay_runner.remedies.judging import OF_PRECISION
from assay_runner.remedies.remedy import Cure, does_not_apply
from assay_runner.remedies.workshop import Workshop

EVERY_NODE: Final = "every node in FP32"


@dataclass(frozen=True)
class Baseline:
    """What every node in FP32 comes to.

    Attributes:
        ignored: checks that it does not pass, which tell nothing about what is narrow.
        hopeless: what to say where there is nothing to look for.
    """

    ignored: frozenset[str]
    hopeless: Cure | None

    @property
    def telling(self) -> frozenset[str]:
        """Checks that trials are judged by: one that tells nothing must not end a trial before others are asked."""
        return OF_PRECISION - self.ignored


def baseline(case: Case, workshop: Workshop, remedy: str, what: str) -> Baseline:
    """Try every node in FP32, by emulation.

    Args:
        case: what failed.
        workshop: where it is tried.
        remedy: whose trial it is.
        what: what the remedy changes, for a sentence.

    Raises:
        OutOfBudget: the budget is spent.
    """
    found = workshop.judged(case.design.in_fp32(EVERY_NODE), remedy, "emulation")
    failing = case.failing
    failed = {said.check: said for said in found.said if said.verdict is Verdict.FAILED}
    ignored = frozenset(said.check for said in found.said if said.verdict is not Verdict.PASSED)
    if same := sorted(failed.keys() & failing):
        return Baseline(ignored, Cure(None, f"it fails in FP32 too: {failed[same[0]].message}", "NotCured"))
    open_ = [said for said in found.said if said.check in failing and said.verdict is Verdict.INCONCLUSIVE]
    if open_ and failing <= ignored:
        why = f"{open_[0].message}: raise remedies.searchShare, or give the dataset more samples"
        return Baseline(ignored, Cure(None, f"in FP32 too {why}", "Inconclusive"))
    if not failing & ({said.check for said in found.said} - ignored):
        names = listed(sorted(failing))
        return Baseline(ignored, does_not_apply(f"what it fails ({names}) does not follow from {what}"))
    return Baseline(ignored, None)
