"""One oracle, everything it said, and what is to be believed of a set because of it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Final, Generic

from assay_runner.search.answers import Answer, odds, weight
from assay_runner.search.items import T
from assay_runner.search.trials import Purpose, Settings, Stage, Steps, Trial

__all__ = ["Asking", "Contradicted", "Spent"]

_STEP_RISK: Final = 0.06
"""Of a step inside the search: one in 17 may be wrong, since the end is confirmed and errors are gone back on."""
_SURPRISE: Final = 0.05
"""What certain answers are taken to be wrong with once two of them contradicted each other."""


class Spent(Exception):
    """The limit of trials is reached."""


class Contradicted(Exception):
    """Answers taken for certain contradict each other: from here on none is, and all is to be weighed again."""


class Asking(Generic[T]):
    """Asks one oracle until a question is decided. Beliefs are log odds that a set passes."""

    def __init__(self, stage: Stage, settings: Settings, limit: int | None = None) -> None:
        self.stage = stage
        self.settings = settings
        self.floor = 0.0
        self.asked = 0
        self._limit = limit
        self._answers: dict[frozenset[T], list[Answer]] = {}
        self._settled: dict[frozenset[T], bool] = {}

    def note(self, kept: frozenset[T], answer: Answer) -> None:
        """Take an answer for known."""
        self._answers.setdefault(kept, []).append(answer)
        if math.isnan(self._sum(kept)):
            self.floor = _SURPRISE
            self._settled.clear()

    def _sum(self, kept: frozenset[T]) -> float:
        answers = self._answers.get(kept, ())
        # Not sum(): it refuses to add infinities of both signs since Python 3.12.
        total = 0.0
        for answer in answers:
            total += weight(answer, self.settings.wrong, self.floor)
        return total

    def belief(self, kept: frozenset[T]) -> float:
        """Log odds that the set passes; 0: nothing is known."""
        settled = self._settled.get(kept)
        return self._sum(kept) if settled is None else math.inf if settled else -math.inf

    def answers(self, kept: frozenset[T]) -> int:
        """How often it was answered."""
        return len(self._answers.get(kept, ()))

    def sets(self) -> Iterator[frozenset[T]]:
        """All that were tried, in order."""
        return iter(self._answers)

    def passing(self) -> list[frozenset[T]]:
        """All that are believed to pass, in order."""
        return [kept for kept in self._answers if self.belief(kept) >= odds(_STEP_RISK)]

    def failing(self) -> list[frozenset[T]]:
        """All that are believed to fail, in order."""
        return [kept for kept in self._answers if self.belief(kept) <= -odds(_STEP_RISK)]

    def confirmed(self, kept: frozenset[T]) -> bool:
        """Whether it was settled that it passes."""
        return self._settled.get(kept, False)

    def certain(self, kept: frozenset[T]) -> bool:
        """Whether one answer alone, or all from when it was settled, leave no more doubt than the risk allows."""
        weights = [weight(answer, self.settings.wrong, self.floor) for answer in self._answers.get(kept, ())]
        return kept in self._settled or any(abs(value) >= odds(self.settings.risk) for value in weights)

    def ask(self, kept: frozenset[T], purpose: Purpose) -> Steps[T, None]:
        """Ask once more.

        Raises:
            Spent: no more may be asked.
            Contradicted: by the answer, for the first time.
        """
        if self._limit is not None and self.asked >= self._limit:
            raise Spent
        answer = yield Trial(kept, self.stage, purpose)
        self.asked += 1
        floor = self.floor
        self.note(kept, answer)
        if self.floor > floor:
            raise Contradicted

    def holds(self, kept: frozenset[T], purpose: Purpose) -> Steps[T, bool]:
        """Whether a set passes, as sure as a step of the search must be."""
        while abs(self.belief(kept)) < odds(_STEP_RISK):
            if self.answers(kept) >= self.settings.repeats:
                return False
            yield from self.ask(kept, purpose)
        return self.belief(kept) > 0

    def settle(self, kept: frozenset[T], purpose: Purpose, times: int = 1) -> Steps[T, bool]:
        """Whether a set passes, as sure as the outcome must be.

        What made the set interesting does not count: of many sets some pass by luck, and those are the ones that are
        looked at again. One that is not to be told counts as one that fails from here on.

        Args:
            kept: the set.
            purpose: why it is tried.
            times: that it must have been answered at least, where it passes.
        """
        if not self._settled.get(kept, True) or (kept in self._settled and self.answers(kept) >= times):
            return self._settled[kept]
        before = self._sum(kept)
        before = before if math.isfinite(before) and kept not in self._settled else 0.0
        passes = None
        while passes is None:
            gained = self._sum(kept) - before
            if abs(gained) >= odds(self.settings.risk) and (gained < 0 or self.answers(kept) >= times):
                passes = gained > 0
            elif self.answers(kept) >= self.settings.repeats:
                passes = False
            else:
                yield from self.ask(kept, purpose)
        self._settled[kept] = passes
        return passes
