"""Does the same input give the same bits?"""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from assay_runner.checks.check import Check
from assay_runner.evidence import Need


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
