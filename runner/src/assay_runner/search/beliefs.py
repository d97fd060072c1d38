"""How likely each item is to be needed: from its rank by suspicion, and from what trials said of the others.

Nobody knows beforehand how many items are needed and whether the ranking is worth anything. So both are learned: a
hypothesis says that so many are expected (1, 2, 4, ...) and that they lie among the so many most suspicious (2, 4, 8,
...,
all: the ranking says nothing). Items in one octave of the ranking are alike to every hypothesis, so counts per octave
are all there is to compute with.

The trials of `splitting` leave exactly three kinds of fact: these are not needed, these are, and of those at least one
is. With items independent under a hypothesis h, its likelihood is

    prod(1 - p_i: not needed) * prod(p_i: needed) * (1 - prod(1 - p_i: at least one of them))
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Final

__all__ = ["Beliefs", "octaves"]

_INSIDE: Final = 0.95
"""Share of the needed items that a hypothesis sees among the most suspicious it speaks of."""
_HIGHEST: Final = 0.9
"""Of the probabilities of one item."""


@dataclass(frozen=True)
class _Hypothesis:
    """Per octave: logarithms of the chances that an item of it is needed, and that it is not."""

    weight: float
    needed: tuple[float, ...]
    not_needed: tuple[float, ...]


def octaves(suspicions: Sequence[float]) -> list[int]:
    """Octave of each item by rank, 0 the most suspicious (ranks 1; 2; 3-4; 5-8; ...); equal ones share the last."""
    ranked = sorted(suspicions, reverse=True)
    last = {value: rank for rank, value in enumerate(ranked, start=1)}
    return [(last[value] - 1).bit_length() for value in suspicions]


def _hypotheses(sizes: Sequence[int]) -> Iterator[_Hypothesis]:
    total, top = sum(sizes), len(sizes) - 1
    counts = sorted({1.0, 2.0, 4.0, 8.0, 24.0, total / 3})
    for reach in range(min(2, top), top + 1):
        within = sum(sizes[: reach + 1])
        if not within:
            continue
        outside = total - within
        for count in counts:
            if count > max(1, within * 0.75):
                continue
            inside = min(_HIGHEST, count * (_INSIDE if outside else 1.0) / within)
            beyond = min(inside, count * (1 - _INSIDE) / outside) if outside else inside
            chances = [inside if octave <= reach else beyond for octave in range(len(sizes))]
            yield _Hypothesis(
                -2 * math.log(count) - (math.log(top) if outside else 0.0),
                tuple(math.log(chance) for chance in chances),
                tuple(math.log1p(-chance) for chance in chances),
            )


class Beliefs:
    """What is believed of items that are given by their octaves."""

    def __init__(self, octaves_of_all: Sequence[int]) -> None:
        sizes = [0] * (max(octaves_of_all) + 1)
        for octave in octaves_of_all:
            sizes[octave] += 1
        self._hypotheses = list(_hypotheses(sizes))
        self._logs = [hypothesis.weight for hypothesis in self._hypotheses]

    def learn_needed(self, octave: int) -> None:
        """One item of the octave is needed."""
        self._logs = [log + h.needed[octave] for log, h in zip(self._logs, self._hypotheses, strict=True)]

    def learn_not_needed(self, octaves_of_them: Iterable[int]) -> None:
        """Items of these octaves are not needed."""
        for octave, run in groupby(octaves_of_them):
            count = sum(1 for _ in run)
            self._logs = [
                log + count * h.not_needed[octave] for log, h in zip(self._logs, self._hypotheses, strict=True)
            ]

    def half(self, group: Sequence[int], tainted: bool) -> int:
        """How many of a group, from its first on, to try without: as likely as not, none of them is needed.

        Args:
            group: octaves of its items.
            tainted: whether at least one of them is known to be needed; then never all are taken, and there are 2 or
                more.
        """
        runs = [(octave, sum(1 for _ in run)) for octave, run in groupby(group)]
        heaviest = max(self._logs)
        weights = [math.exp(log - heaviest) for log in self._logs]
        none = [0.0] * len(weights)
        if tainted:
            none = [math.exp(sum(count * h.not_needed[o] for o, count in runs)) for h in self._hypotheses]
        whole = sum(weight * (1 - chance) for weight, chance in zip(weights, none, strict=True))
        gone, taken = [0.0] * len(weights), 0

        def passes(octave: int, more: int) -> float:
            logs = (log + more * h.not_needed[octave] for log, h in zip(gone, self._hypotheses, strict=True))
            return sum(w * (math.exp(log) - n) for w, log, n in zip(weights, logs, none, strict=True)) / whole

        for octave, count in runs:
            if passes(octave, count) <= 0.5:
                taken += _crossing(lambda more, octave=octave: passes(octave, more), count)  # type: ignore[misc]
                break
            gone = [log + count * h.not_needed[octave] for log, h in zip(gone, self._hypotheses, strict=True)]
            taken += count
        return max(1, min(taken, len(group) - 1 if tainted else len(group)))


def _crossing(chance: Callable[[int], float], most: int) -> int:
    """The number from 0 to `most` at which a falling chance is nearest to one half."""
    low, high = 0, most
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if chance(middle) <= 0.5 else (middle, high)
    return high if 0.5 - chance(high) < chance(low) - 0.5 else low
