"""What a repair may cost, and has."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Literal, Protocol

from assay_api.remedies import Budget

Oracle = Literal["emulation", "build"]
"""emulation: ONNX Runtime on the CPU. build: what would be served."""


class OutOfBudget(Exception):
    """The budget is spent; what was found so far stands."""


class Clock(Protocol):
    """Tells seconds; never goes back."""

    def __call__(self) -> float:
        """Seconds."""
        ...


@dataclass
class Spending:
    """What a repair has cost so far, against its budget."""

    budget: Budget
    clock: Clock = time.monotonic
    builds: int = 0
    proposals: int = 0
    before: float = 0.0
    """Seconds that runs before this one have spent on trials that are known."""
    paid: set[str] = field(default_factory=set)
    """Trials whose seconds are counted, by where they are kept."""
    _began: float = field(default=-1.0)

    def __post_init__(self) -> None:
        self._began = self.clock()

    @property
    def seconds(self) -> float:
        """Seconds since it began."""
        return self.clock() - self._began + self.before

    def check(self, oracle: Oracle) -> None:
        """Do nothing where one more trial is allowed.

        Raises:
            OutOfBudget: it is not.
        """
        if self.seconds > 60 * self.budget.minutes:
            raise OutOfBudget(f"{self.budget.minutes} minutes (remedies.budget.minutes) are spent")
        if oracle == "build" and self.builds >= self.budget.builds:
            raise OutOfBudget(f"{self.budget.builds} builds (remedies.budget.builds) are spent")
        if oracle == "emulation" and self.proposals >= self.budget.proposals:
            raise OutOfBudget(f"{self.budget.proposals} emulations (remedies.budget.proposals) are spent")

    def allows(self, oracle: Oracle, builds: int) -> bool:
        """Whether one more trial is allowed, and so many builds."""
        try:
            self.check(oracle)
        except OutOfBudget:
            return False
        return oracle == "emulation" or self.builds + builds <= self.budget.builds

    def count(self, oracle: Oracle, builds: int = 1) -> None:
        """One more."""
        if oracle == "build":
            self.builds += builds
        else:
            self.proposals += 1

    def left(self) -> str:
        """What is left, in a few words."""
        minutes = max(0, round(self.budget.minutes - self.seconds / 60))
        most = self.budget.builds
        builds = f"{min(self.builds, most)} of {most} builds, " if self.builds else ""
        more = f"{self.builds - most} more to audit what was found, " if self.builds > most else ""
        return f"{builds}{more}{self.proposals} emulations, {minutes} min left"
