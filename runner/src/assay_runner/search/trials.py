"""The words between a search and its caller: what to try, and what the search is allowed and told to do."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from enum import Enum
from typing import Final, Generic, TypeVar

from assay_runner.search.answers import Answer
from assay_runner.search.items import T

__all__ = ["DEFAULT", "NO_LIMITS", "Limits", "Purpose", "Settings", "Stage", "Steps", "Told", "Trial"]

R = TypeVar("R")


class Stage(Enum):
    """Which oracle is asked."""

    PROPOSE = "propose"
    """The cheap one (an emulation): its word leads the search, and acquits nothing."""
    DECIDE = "decide"
    """The one whose word counts; the only one where there is one."""


class Purpose(Enum):
    """Why a set is tried."""

    ENDS = "ends"
    """All wide, or all narrow."""
    BEYOND = "beyond"
    """All wide fails; another set may pass all the same."""
    NARROW = "narrow"
    """Fewer items than the smallest set that passed."""
    CONFIRM = "confirm"
    """Again, since all hangs on it."""
    PROVE = "prove"
    """One item less than what was found: it should fail."""
    ALTERNATIVE = "alternative"
    """Everything but what was found."""
    CHEAPER = "cheaper"
    """More items than what was found, at less cost."""


@dataclass(frozen=True)
class Trial(Generic[T]):
    """A question to an oracle.

    Attributes:
        kept: what stays wide; all else is narrow.
        stage: which oracle is asked.
        purpose: why.
    """

    kept: frozenset[T]
    stage: Stage
    purpose: Purpose


Steps = Generator[Trial[T], Answer, R]
"""Part of a search: yields trials, is sent answers, returns what it came to."""

Told = tuple[Stage, frozenset[T], Answer]
"""Which oracle said what of which set."""


@dataclass(frozen=True)
class Limits:
    """Where a search ends with the best so far.

    Attributes:
        decisions: trials of the oracle whose word counts; None: as many as it takes.
        proposals: trials of the cheap one.
    """

    decisions: int | None = None
    proposals: int | None = None


@dataclass(frozen=True)
class Settings:
    """How sure, how thorough.

    Attributes:
        wrong: chance that an answer without a margin is wrong, below 1/2; 0: such answers are certain, until two of
            them contradict each other.
        confirmations: times that the final set must have passed by the deciding oracle, unless its answer is noiseless.
        repeats: answers to the same question after which it is not to be told; that never counts as a pass.
        risk: that a decision is wrong on which the outcome hangs; of one that a set passes, a thirtieth of it.
        restarts: times that a search which went astray begins again from what it knows.
        direct: whether to try the final set without each of its items by the oracle whose word counts, where failures
            of larger sets, or those of the cheap oracle, imply it already.
        alternatives: cures looked for besides the first that share nothing with it, as long as there is one; by the
            cheap oracle, where there is one.
        beyond: trials spent on other sets where all wide fails; 2 + log2 N of them find a cure where either of two
            items cures and both together break.
    """

    wrong: float = 0.0
    confirmations: int = 2
    repeats: int = 16
    risk: float = 3e-5
    restarts: int = 12
    direct: bool = False
    alternatives: int = 1
    beyond: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.wrong < 0.5 or not 0 < self.risk < 0.5:
            raise ValueError("wrong must be in [0, 0.5) and risk in (0, 0.5)")
        if self.confirmations < 1 or self.repeats < self.confirmations:
            raise ValueError("confirmations must be at least 1, and repeats at least as many")


NO_LIMITS: Final = Limits()
DEFAULT: Final = Settings()
