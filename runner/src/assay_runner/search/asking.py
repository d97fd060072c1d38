"""One oracle, everything it said, and what is to be believed of a set because of it."""

from __future__ import annotations

import math
from typing import Final, Generic

from assay_runner.search.answers import UNCLEAR, Answer, belief, odds
from assay_runner.search.items import T
from assay_runner.search.trials import Purpose, Settings, Stage, Steps, Trial

__all__ = ["Asking", "Contradicted", "Spent"]

_STEP_RISK: Final = 0.06
"""Of a step inside the search: one in 17 may be wrong, since the end is confirmed and errors are gone back on."""
_SURPRISE: Final = 0.05
"""What certain answers are taken to be wrong with once two of them contradicted each other."""
_LUCK: Final = 1 / 30
"""How much rarer a pass by mistake is to be than a failure by mistake: of many sets that fail, one that passes by luck
is a wrong cure, and one that fails by bad luck an item too many. All wide and all narrow are held to it both ways."""
_PATIENCE: Final = 0.6
"""Share of the answers that may be had after which it is asked whether more of them would help."""
_SILENCE: Final = 3
"""Answers that say nothing at all, after which no more are waited for."""


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
        self._row: tuple[frozenset[T], int] = frozenset(), 0

    def in_a_row(self, wide: frozenset[T]) -> int:
        """Trials with less than a set that failed since it passed, this one counted."""
        last, fails = self._row
        self._row = wide, fails + 1 if wide == last else 1
        return self._row[1]

    def note(self, kept: frozenset[T], answer: Answer) -> None:
        """Take an answer for known."""
        self._answers.setdefault(kept, []).append(answer)
        if math.isnan(self._sum(kept)):
            self.floor = _SURPRISE
            self._settled.clear()

    def _sum(self, kept: frozenset[T], since: int = 0) -> float:
        return belief(self._answers.get(kept, [])[since:], self.settings.wrong, self.floor)

    def belief(self, kept: frozenset[T]) -> float:
        """Log odds that the set passes; 0: nothing is known."""
        settled = self._settled.get(kept)
        return self._sum(kept) if settled is None else math.inf if settled else -math.inf

    def answers(self, kept: frozenset[T]) -> int:
        """How often it was answered."""
        return len(self._answers.get(kept, ()))

    def passing(self) -> list[frozenset[T]]:
        """All that are believed to pass, in order."""
        return [kept for kept in self._answers if self.belief(kept) >= odds(_STEP_RISK)]

    def failing(self) -> list[frozenset[T]]:
        """All that answers say fail, in order; those that are not to be told are not among them."""
        return [kept for kept in self._answers if self._sum(kept) <= -odds(_STEP_RISK)]

    def confirmed(self, kept: frozenset[T]) -> bool:
        """Whether it was settled that it passes."""
        return self._settled.get(kept, False)

    def refuted(self, kept: frozenset[T]) -> bool:
        """Whether there is no doubt that it fails."""
        return self._sum(kept) <= -odds(self.settings.risk)

    def certain(self, kept: frozenset[T]) -> bool:
        """Whether one answer alone, or those when it was settled, leave no more doubt than the risk allows."""
        told = (belief([answer], self.settings.wrong, self.floor) for answer in self._answers.get(kept, ()))
        return kept in self._settled or any(abs(value) >= odds(self.settings.risk) for value in told)

    def _often(self, kept: frozenset[T], times: int) -> bool:
        noiseless = any(
            answer.margin is not None and math.isinf(answer.margin) for answer in self._answers.get(kept, ())
        )
        return self.answers(kept) >= times or (noiseless and not self.floor)

    def _futile(self, kept: frozenset[T], since: int, needed: float) -> bool:
        """Whether more answers like those so far would not decide it before there are as many as may be."""
        there = self.answers(kept)
        if there >= self.settings.repeats:
            return True
        fresh = there - since
        most = self.settings.repeats - since
        if fresh >= _SILENCE and all(answer == UNCLEAR for answer in self._answers[kept][since:]):
            return True
        return fresh >= _PATIENCE * most and abs(self._sum(kept, since)) * most / fresh < needed

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
        needed = odds(_STEP_RISK)
        while abs(self.belief(kept)) < needed:
            if self._futile(kept, 0, needed):
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
            times: that it must have been answered at least, where it passes and an answer may be wrong at all.
        """
        if not self._settled.get(kept, True) or (kept in self._settled and self._often(kept, times)):
            return self._settled[kept]
        certain = kept in self._settled or not math.isfinite(self._sum(kept))
        since = 0 if certain else self.answers(kept)
        needed = odds(self.settings.risk * _LUCK)
        fails = -needed if purpose is Purpose.ENDS else -odds(self.settings.risk)
        passes = None
        while passes is None:
            gained = self._sum(kept, since)
            if gained <= fails:
                passes = False
            elif gained >= needed and self._often(kept, times):
                passes = True
            elif self._futile(kept, since, needed):
                passes = False
            else:
                yield from self.ask(kept, purpose)
        self._settled[kept] = passes
        return passes
