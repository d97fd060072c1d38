"""Does a sample's output depend on what else is in its batch?"""

from __future__ import annotations

from typing import ClassVar, Final

from pydantic import Field

from assay_api.report import Finding, Verdict
from assay_runner.checks.sameness import Sameness
from assay_runner.evidence import Evidence, InvarianceWanted

SINGLE: Final = "the model's batch is fixed at 1: nothing is ever beside a sample, so there is nothing to compare"


class BatchInvariance(Sameness):
    """Does a sample's output depend on what else is in its batch?

    Feeds batches made of copies of one sample, whose rows must agree, and holds each row of the dataset's batches
    against the same sample run alone; where the model's batch is fixed, only the first, and where it is fixed at 1,
    neither, for nothing is ever beside a sample. Where an output that differs comes from random numbers, or from custom
    operators (plugins), it says so.
    """

    name: ClassVar[str] = "batchInvariance"

    batches: int = Field(default=2, ge=1, le=1000)
    """How many batches are looked at, from the dataset's start. Default 2."""

    @property
    def needs(self) -> tuple[InvarianceWanted]:
        """The same samples in other batches."""
        return (InvarianceWanted(self.batches),)

    def judge(self, evidence: Evidence) -> tuple[Finding, ...]:
        """One finding per output and comparison."""
        if reason := self.unmeasured(evidence):
            return (self.inconclusive(evidence, reason),)
        found = evidence.of(*self.needs)
        if found is None:
            return (self.inconclusive(evidence, "no batch was run for it"),)
        if found.single:
            return (self.finding(evidence, Verdict.PASSED, SINGLE),)
        note = "; ".join(found.notes)
        findings: list[Finding] = []
        if found.rows:
            findings += self.compared(evidence, found.rows, "rows of one batch against each other")
        if found.alone:
            findings += self.compared(evidence, found.alone, "a row of a batch against the same sample alone")
        if not findings:
            return (self.inconclusive(evidence, note or "no output could be compared"),)
        return tuple(_noted(finding, note) for finding in findings)


def _noted(finding: Finding, note: str) -> Finding:
    """The finding with what was left out, where it passed."""
    if not note or finding.verdict is not Verdict.PASSED:
        return finding
    return finding.model_copy(update={"message": f"{finding.message}; {note}"})
