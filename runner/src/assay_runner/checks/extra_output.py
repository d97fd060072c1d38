"""Does one more output change the others?"""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from assay_api.fields import ArrayName
from assay_api.report import Finding
from assay_runner.checks.check import place
from assay_runner.checks.sameness import Sameness
from assay_runner.evidence import Evidence, ExtraOutputWanted


class ExtraOutputCheck(Sameness):
    """Does one more output change the others?

    A tensor that is an output cannot be fused away, so asking for it makes another engine: the outputs of the two are
    held against each other.
    """

    name: ClassVar[str] = "extraOutput"

    tensor: ArrayName | None = None
    """The tensor that is added. Default: one in the middle of the graph."""
    batches: int = Field(default=2, ge=1, le=1000)
    """How many batches are run, from the dataset's start. Default 2."""

    @property
    def needs(self) -> tuple[ExtraOutputWanted]:
        """Outputs with one more among them."""
        return (ExtraOutputWanted(self.tensor or "", self.batches),)

    def judge(self, evidence: Evidence) -> tuple[Finding, ...]:
        """One finding per output."""
        if reason := self.unmeasured(evidence):
            return (self.inconclusive(evidence, reason),)
        found = evidence.of(*self.needs)
        if found is None:
            return (self.inconclusive(evidence, "no batch was run with one more output"),)
        if found.same is None or found.site is None:
            return (self.inconclusive(evidence, found.reason, found.site),)
        what = f"with {place(found.site)} as one more output and without"
        compared = tuple(self.compared(evidence, found.same, what))
        return compared or (self.inconclusive(evidence, f"{what}: no output could be compared"),)
