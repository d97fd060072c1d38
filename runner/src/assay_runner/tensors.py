"""Values that flow between the stages: what a tensor is called and shaped, and one batch of samples."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Arrays = Mapping[str, Array]


@dataclass(frozen=True)
class TensorSpec:
    """Name, element type and shape of a graph input or output; a `str` or None dimension is free."""

    name: str
    dtype: np.dtype[Any]
    shape: tuple[int | str | None, ...]


@dataclass(frozen=True)
class Batch:
    """Consecutive samples of a dataset.

    Attributes:
        start: index of the first sample in the dataset.
        count: real samples; the arrays may be longer where a model's fixed batch was padded (rows past `count` repeat
            the last sample and must not be judged).
        inputs: one array per model input, first axis = samples.
        labels: int64 of shape (count,), or None.
    """

    start: int
    count: int
    inputs: Arrays
    labels: NDArray[np.int64] | None = None

    @property
    def fed(self) -> int:
        """Samples that a model is fed, padding included."""
        return len(next(iter(self.inputs.values())))


@dataclass(frozen=True)
class Extents:
    """Shapes that one input is fed in.

    Attributes:
        min: the smallest that any check feeds: a single sample, where batches may be of any size.
        opt: the usual one.
        max: the largest.
        least: the smallest batch of the dataset, which must be taken: what would feed less does without. None: `min`.
            No engine depends on it, so that it is no part of what extents are equal by.
    """

    min: tuple[int, ...]
    opt: tuple[int, ...]
    max: tuple[int, ...]
    least: tuple[int, ...] | None = field(default=None, compare=False, repr=False)


class Batches(Protocol):
    """Samples that can be read again and again from the start; memory does not grow with their number."""

    @property
    def samples(self) -> int:
        """Number of samples."""
        ...

    def __iter__(self) -> Iterator[Batch]:
        """Batches in order."""
        ...


class Progress(Protocol):
    """Tells a person, or the operator, how far long work is."""

    def stage(self, name: str, total: int | None = None, unit: str = "") -> None:
        """A stage begins; `total` units of work are known to lie ahead, where known."""
        ...

    def advance(self, units: int = 1) -> None:
        """Units of the current stage are done."""
        ...

    def note(self, message: str) -> None:
        """What is happening, in a few words."""
        ...


def names(specs: Iterable[TensorSpec]) -> tuple[str, ...]:
    """Names of the specs in order."""
    return tuple(s.name for s in specs)
