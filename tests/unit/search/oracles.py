"""Made-up models: which items they need, how suspicious those look, and answers that are sometimes wrong."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from assay_runner.search import FAILED, PASSED, Answer, Item, Search, Settings, Stage
from assay_runner.search.items import leaves_of
from assay_runner.search.trials import DEFAULT

__all__ = ["Model", "answered", "flipped", "needs", "needs_any", "noiseless", "ranked"]


def noiseless(passed: bool) -> Answer:
    return Answer.of(passed, math.inf if passed else -math.inf)


def flipped(chance: random.Random, wrong: float) -> Callable[[bool], Answer]:
    """Answers that are wrong with that probability, and do not say so."""
    return lambda passes: Answer.of(passes ^ (chance.random() < wrong))


def needs(*leaves: object) -> Callable[[frozenset[object]], Answer]:
    """Passes where all of these are wide."""
    return needs_any(leaves)


def needs_any(*cures: Iterable[object]) -> Callable[[frozenset[object]], Answer]:
    """Passes where all of any of these are wide."""
    sets = [frozenset(cure) for cure in cures]
    return lambda kept: PASSED if any(cure <= kept for cure in sets) else FAILED


@dataclass(frozen=True)
class Model:
    """Items of which some are needed.

    Attributes:
        items: with their suspicion; also blocks.
        needed: what must be wide.
    """

    items: Sequence[Item[int]]
    needed: frozenset[int]

    @classmethod
    def of(cls, size: int, needed: int, seed: int, useful: bool) -> Model:
        """Useful: each of the k needed ones ranks in the top 3k + 5 with probability 0.9, else in the top fifth."""
        chance = random.Random(seed)
        culprits = chance.sample(range(size), needed)
        return cls(ranked(_ranking(size, culprits, useful, chance)), frozenset(culprits))


def ranked(ranking: Sequence[int]) -> list[Item[int]]:
    """Items 0, 1, ... of which the first in the ranking is the most suspicious."""
    place = {item: rank for rank, item in enumerate(ranking)}
    return [Item(item, prior=-place[item]) for item in range(len(ranking))]


def _ranking(size: int, culprits: list[int], useful: bool, chance: random.Random) -> list[int]:
    if not useful:
        return chance.sample(range(size), size)
    places: dict[int, int] = {}
    for culprit in culprits:
        while True:
            top = min(size, 3 * len(culprits) + 5) if chance.random() < 0.9 else max(1, size // 5)
            place = chance.randrange(top)
            if place not in places:
                places[place] = culprit
                break
    others = [item for item in range(size) if item not in set(culprits)]
    chance.shuffle(others)
    return [places[place] if place in places else others.pop() for place in range(size)]


def answered(
    model: Model, answer: Callable[[bool], Answer], settings: Settings = DEFAULT, most: int = 2000
) -> tuple[Search[int], int]:
    """A search over a model, ended, and its trials; that all narrow fails and all wide passes is known."""
    everything = frozenset(leaves_of(model.items))
    known = [(Stage.DECIDE, frozenset[int](), noiseless(False)), (Stage.DECIDE, everything, noiseless(True))]
    search = Search(model.items, settings=settings, known=known)
    trials = 0
    while search.trial is not None and trials < most:
        trials += 1
        search.tell(answer(model.needed <= search.trial.kept))
    return search, trials
