"""A dataset in two parts: one to search with, and one that no search has seen, of which the verdict is.

Of the second, searches are told of some, one part after the other, and the last is kept back. Whole batches are dealt
out by turns, so that both parts see the whole dataset. Where there are too few of them for that, or of too different
sizes, each is cut.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from itertools import pairwise
from typing import Final, Literal, Protocol

from assay_runner.tensors import Array, Batch

Half = Literal["search", "unseen"]
HALVES: Final[tuple[Half, Half]] = ("search", "unseen")
TOLD: Final = 0.5
"""Share of the samples left of which searches are told next."""
TURNS: Final = 3
"""Parts of which searches are told, one after the other."""
LEAST: Final = 2
"""Samples of a part at least, but for the first and what is left of it: fewer prove too little."""


@dataclass(frozen=True)
class Part:
    """Some of the samples.

    Attributes:
        kind: search: is searched with. unseen: all others. Of these, told: of them other searches are told what was
            missing. last: all that nothing has looked at by then.
        turn: how many parts are told of before it.
    """

    kind: Literal["search", "unseen", "told", "last"]
    turn: int = 0


SEARCH: Final = Part("search")
UNSEEN: Final = Part("unseen")


class Whole(Protocol):
    """What can be split: a dataset, or a part of one."""

    @property
    def fixed(self) -> bool:
        """Whether the model takes whole batches only."""
        ...

    def counts(self) -> Iterable[int]:
        """Samples of each batch."""
        ...

    def __iter__(self) -> Iterator[Batch]:
        """Batches in order."""
        ...


@dataclass(frozen=True)
class Split:
    """How a dataset is split.

    Attributes:
        dataset: all of it.
        share: of the samples, that are searched with; above 0 and below 1.
    """

    dataset: Whole
    share: float

    @cached_property
    def parts(self) -> Mapping[Part, Samples]:
        """Every part that there is, by turns; where nothing can be held back, or told of, such parts are left out."""
        found = {SEARCH: self.batches("search"), UNSEEN: self.batches("unseen")}
        rest = self
        for turn in range(0 if self.whole else TURNS):
            rest = Split(rest.batches("unseen"), TOLD)
            if rest.whole or (turn and min(map(rest.samples, HALVES)) < LEAST):
                break
            found |= {Part("told", turn): rest.batches("search"), Part("last", turn): rest.batches("unseen")}
        return found

    @property
    def telling(self) -> tuple[Part, ...]:
        """The parts of which searches may be told, in order."""
        return tuple(part for part in self.parts if part.kind == "told")

    @property
    def whole(self) -> bool:
        """Whether nothing can be held back: one sample, or one batch that the model fixes."""
        return not all(self.samples(half) for half in HALVES)

    def samples(self, half: Half) -> int:
        """How many samples a half has."""
        counts = list(self.dataset.counts())
        return sum(end - start for number, count in enumerate(counts) for start, end in self._rows(half, number, count))

    def batches(self, half: Half) -> Samples:
        """The samples of a half."""
        return Samples(self, half)

    def _rows(self, half: Half, number: int, count: int) -> list[tuple[int, int]]:
        """First and last row (exclusive) of the batch of this number that belong to the half."""
        edge = self._edges[number]
        first, end = (0, edge) if half == "search" else (edge, count)
        return [(first, end)] if first < end else []

    @cached_property
    def _edges(self) -> tuple[int, ...]:
        """Of each batch, how many of its samples are searched with: the first so many."""
        counts = tuple(self.dataset.counts())
        edges = _dealt(counts, self.share)
        if self.dataset.fixed or _fair(counts, edges, self.share):
            return edges
        cut = (count > 1 and min(max(round(count * self.share), 1), count - 1) for count in counts)
        # What cannot be cut is searched with.
        return tuple(edge or count for edge, count in zip(cut, counts, strict=True))


def _dealt(counts: Sequence[int], share: float) -> tuple[int, ...]:
    """Whole batches by turns, at least one for either part where there are two."""
    batches = len(counts)
    # In fractions: to floating point numbers 49 times a 49th is less than 1.
    least = Fraction(1, batches)
    even = min(max(Fraction(share), least), 1 - least) if batches > 1 else Fraction(1)
    turns = (number * even // 1 for number in range(batches + 1))
    return tuple(count if turn < after else 0 for count, (turn, after) in zip(counts, pairwise(turns), strict=True))


def _fair(counts: Sequence[int], edges: Sequence[int], share: float) -> bool:
    """Whether either part has at least half of what is due to it."""
    total, searched = sum(counts), sum(edges)
    return searched >= total * share / 2 and total - searched >= total * (1 - share) / 2


@dataclass(frozen=True)
class Samples:
    """The samples of one half, as `Batches`; each batch starts where it does in the whole dataset."""

    split: Split
    half: Half

    @property
    def samples(self) -> int:
        """Number of samples."""
        return self.split.samples(self.half)

    @property
    def fixed(self) -> bool:
        """Whether the model takes whole batches only."""
        return self.split.dataset.fixed

    def counts(self) -> Iterator[int]:
        """Samples of each batch."""
        for number, count in enumerate(self.split.dataset.counts()):
            yield from (end - first for first, end in self.split._rows(self.half, number, count))

    def __iter__(self) -> Iterator[Batch]:
        """Batches in order."""
        for number, batch in enumerate(self.split.dataset):
            for first, end in self.split._rows(self.half, number, batch.count):
                yield batch if end - first == batch.count else batch.part(first, end)

    def outputs(self, golden: Iterable[Mapping[str, Array]]) -> Outputs:
        """Golden outputs of these samples, out of those of all batches of the dataset that was split first."""
        before = self.split.dataset
        return Outputs(self.split, self.half, before.outputs(golden) if isinstance(before, Samples) else golden)


@dataclass(frozen=True)
class Outputs:
    """Golden outputs of one half."""

    split: Split
    half: Half
    golden: Iterable[Mapping[str, Array]]

    def __iter__(self) -> Iterator[Mapping[str, Array]]:
        """One mapping per batch of the half."""
        for number, (count, outputs) in enumerate(zip(self.split.dataset.counts(), self.golden, strict=True)):
            for first, end in self.split._rows(self.half, number, count):
                # What the samples of a batch share is a single row.
                yield {name: array[first:end] if len(array) == count else array for name, array in outputs.items()}
