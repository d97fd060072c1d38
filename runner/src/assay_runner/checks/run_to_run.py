"""Does the same input give the same bits?"""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import Field

from assay_api.report import Finding, Verdict
from assay_runner.checks.check import Check, place
from assay_runner.evidence import Difference, Evidence, Need, Repeats


class RunToRun(Check):
    """Does the same input give the same bits, again in one session and in a new session?

    Anything else is a defect; where the model draws random numbers, it says so.
    """

    name: ClassVar[str] = "runToRun"
    needs: ClassVar[frozenset[Need]] = frozenset({Need.RUNS})

    runs: int = Field(default=5, ge=2, le=1000)
    """Runs of each batch in one session. Default 5."""
    batches: int = Field(default=4, ge=1, le=1000)
    """How many batches are run again, from the dataset's start. Default 4."""

    def judge(self, evidence: Evidence) -> tuple[Finding, ...]:
        """One finding: the first difference in graph order, or that all bits are equal."""
        if reason := self.unmeasured(evidence):
            return (self.inconclusive(evidence, reason),)
        repeats = evidence.repeats.get((self.runs, self.batches))
        if repeats is None or repeats.batches < 1:
            return (self.inconclusive(evidence, "no batch was run again"),)
        if repeats.differences:
            return (self._failed(evidence, repeats),)
        message = (
            f"bitwise equal over {repeats.runs} runs in one session and a run in a new one, {repeats.batches} batches"
        )
        if repeats.random:
            message += f", although {place(repeats.random[0])} draws random numbers"
        return (self.finding(evidence, Verdict.PASSED, message, metric="differences", value=0, limit=0),)

    def _failed(self, evidence: Evidence, repeats: Repeats) -> Finding:
        first = repeats.differences[0]
        when = "in a new session" if first.new_session else f"in run {first.run} of one session"
        message = (
            f"output {first.site.tensor!r} of batch {first.batch} has other bits {when}, by up to {first.max_abs:.3g}: "
        )
        if repeats.random:
            message += f"{place(repeats.random[0])} draws random numbers, and goes on drawing others from run to run "
            message += "even with a seed, so take it out or feed the numbers as an input"
        else:
            message += "for the same input that is a defect of what runs it, so report it with this audit"
        details: dict[str, Any] = {
            "differences": [_entry(difference) for difference in repeats.differences[:20]],
            "random": [{"tensor": s.tensor, "node": s.node, "op": s.op} for s in repeats.random[:20]],
        }
        count = len(repeats.differences)
        return self.finding(
            evidence, Verdict.FAILED, message, first.site, metric="differences", value=count, limit=0, details=details
        )


def _entry(difference: Difference) -> dict[str, Any]:
    return {
        "output": difference.site.tensor,
        "batch": difference.batch,
        "run": difference.run,
        "newSession": difference.new_session,
        "maxAbs": difference.max_abs,
    }
