"""What nobody can do better than: the candidate with nothing of it narrow. Where that fails, no remedy of it helps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from assay_api.report import Verdict
from assay_runner.backends.conversion import listed
from assay_runner.remedies.case import Case
from assay_runner.remedies.judged import BUILD, Judged
from assay_runner.remedies.judging import OF_PRECISION
from assay_runner.remedies.remedy import Cure, does_not_apply
from assay_runner.remedies.spending import Oracle
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
    """Try every node in FP32: by emulation, and as an engine where that fails.

    Args:
        case: what failed.
        workshop: where it is tried.
        remedy: whose trial it is.
        what: what the remedy changes, for a sentence.

    Raises:
        OutOfBudget: the budget is spent.
    """
    found = _in_all(case, workshop, remedy, "emulation")
    if not case.emulates and found.verdict is Verdict.FAILED:
        found = _in_all(case, workshop, remedy, "build")
    ignored = frozenset(said.check for said in found.said if said.verdict is not Verdict.PASSED)
    return Baseline(ignored, _alike(case, found) or _untold(case, found, ignored, what))


def fails_alike(case: Case, workshop: Workshop, remedy: str, oracle: Oracle) -> Cure | None:
    """That everything in FP32 fails the checks that the candidate fails, where it does.

    Raises:
        OutOfBudget: the budget is spent.
    """
    return _alike(case, _in_all(case, workshop, remedy, oracle))


def _in_all(case: Case, workshop: Workshop, remedy: str, oracle: Oracle) -> Judged:
    return workshop.judged(case.design.in_fp32(EVERY_NODE), remedy, oracle)


def _alike(case: Case, found: Judged) -> Cure | None:
    same = next((said for said in found.said if said.verdict is Verdict.FAILED and said.check in case.failing), None)
    return Cure(None, f"it fails with every node in FP32 too: {same.message}", "NotCured") if same else None


def _untold(case: Case, found: Judged, ignored: frozenset[str], what: str) -> Cure | None:
    """That none of the checks it fails tells anything in FP32, where that is so."""
    if case.failing & ({said.check for said in found.said} - ignored):
        return None
    if refused := next((said for said in found.said if said.check == BUILD), None):
        return Cure(None, f"even of every node in FP32 it cannot be told: {refused.message}", "Inconclusive")
    told = sorted(
        (said for said in found.said if said.check in case.failing),
        key=lambda said: said.verdict is not Verdict.INCONCLUSIVE,
    )
    if open_ := next(iter(told), None):
        why = f"it cannot be told on the samples that are searched with: {open_.message}"
        more = "raise remedies.searchShare, or give the dataset more samples"
        return Cure(None, f"even of every node in FP32 {why}: {more}", "Inconclusive")
    return does_not_apply(f"what it fails ({listed(sorted(case.failing))}) does not follow from {what}")
