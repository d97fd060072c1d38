"""A dataset in two parts: one to search with, and one that no search has seen, of which the verdict is.

Whole batches are dealt out by turns, so that both parts see the whole dataset. Where there are too few of them for
that, or of too different sizes, each is cut.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from itertools import pairwise
from typing import Final, Literal, Protocol

from assay_runner.tensors import Array, Batch

Part = Literal["search", "unseen", "told", "last"]
"""search: is searched with. unseen: all others. Of these, told: of them other searches are told what was missing. last:
the rest, which nothing has looked at before the verdict."""
Half = Literal["search", "unseen"]
PARTS: Final[tuple[Half, Half]] = ("search", "unseen")
TOLD: Final = 0.5
"""Share of the unseen samples of which searches are told."""


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

    @property
    def unseen(self) -> Split:
        """How the unseen samples are split: "search" are those that searches are told of, "unseen" the last ones."""
        return Split(self.batches("unseen"), TOLD)

    @property
    def whole(self) -> bool:
        """Whether nothing can be held back: one sample, or one batch that the model fixes."""
        return not all(self.samples(part) for part in PARTS)

    def samples(self, part: Half) -> int:
        """How many samples a part has."""
        counts = list(self.dataset.counts())
        return sum(end - start for number, count in enumerate(counts) for start, end in self._rows(part, number, count))

    def batches(self, part: Half) -> Samples:
        """The samples of a part."""
        return Samples(self, part)

    def outputs(self, part: Half, golden: Iterable[Mapping[str, Array]]) -> Outputs:
        """Golden outputs of a part, out of those of all batches of the dataset."""
        return Outputs(self, part, golden)

    def _rows(self, part: Half, number: int, count: int) -> list[tuple[int, int]]:
        """First and last row (exclusive) of the batch of this number that belong to the part."""
        edge = self._edges[number]
        first, end = (0, edge) if part == "search" else (edge, count)
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
    """The samples of one part, as `Batches`; each batch starts where it does in the whole dataset."""

    split: Split
    part: Half

    @property
    def samples(self) -> int:
        """Number of samples."""
        return self.split.samples(self.part)

    @property
    def fixed(self) -> bool:
        """Whether the model takes whole batches only."""
        return self.split.dataset.fixed

    def counts(self) -> Iterator[int]:
        """Samples of each batch."""
        for number, count in enumerate(self.split.dataset.counts()):
            yield from (end - first for first, end in self.split._rows(self.part, number, count))

    def __iter__(self) -> Iterator[Batch]:
        """Batches in order."""
        for number, batch in enumerate(self.split.dataset):
            for first, end in self.split._rows(self.part, number, batch.count):
                yield batch if end - first == batch.count else batch.part(first, end)


@dataclass(frozen=True)
class Outputs:
    """Golden outputs of one part."""

    split: Split
    part: Half
    golden: Iterable[Mapping[str, Array]]

    def __iter__(self) -> Iterator[Mapping[str, Array]]:
        """One mapping per batch of the part."""
        for number, (count, outputs) in enumerate(zip(self.split.dataset.counts(), self.golden, strict=True)):
            for first, end in self.split._rows(self.part, number, count):
                # What the samples of a batch share is a single row.
                yield {name: array[first:end] if len(array) == count else array for name, array in outputs.items()}
