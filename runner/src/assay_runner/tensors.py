"""Values that flow between the stages: what a tensor is called and shaped, and one batch of samples."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Arrays = Mapping[str, Array]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Site:
    """Where a tensor comes from.

    Attributes:
        tensor: name of the tensor.
        node: name of the node that makes it, or None for a graph input.
        op: operator of that node.
    """

    tensor: str
    node: str | None = None
    op: str | None = None


@dataclass(frozen=True)
class TensorSpec:
    """Name, element type and shape of a graph input or output; a `str` or None dimension is free."""

    name: str
    dtype: np.dtype[Any]
    shape: tuple[int | str | None, ...]


InputAxes = Mapping[str, int | None]
"""By input, the axis along which its samples are stacked; None: all samples share it. Of one not named, the first."""


@dataclass(frozen=True)
class Batch:
    """Consecutive samples of a dataset.

    Attributes:
        start: index of the first sample in the dataset.
        count: real samples; the arrays may be longer where a model's fixed batch was padded (rows past `count` repeat
            the last sample and must not be judged).
        inputs: one array per model input.
        labels: int64 of shape (count,), or None.
        axes: where the samples of the inputs are. Where none has any, the batch is a single feed, and that its sample.
        targets: what metrics of the user's own are given beside labels, (count, ...) each.
    """

    start: int
    count: int
    inputs: Arrays
    labels: NDArray[np.int64] | None = None
    axes: InputAxes = field(default_factory=dict)
    targets: Arrays = field(default_factory=dict)

    @cached_property
    def fed(self) -> int:
        """Samples that a model is fed, padding included."""
        return samples_in(self.inputs, self.axes)

    def take(self, chosen: slice | NDArray[np.int64]) -> dict[str, Array]:
        """The inputs of some of its samples, in the order in which they are chosen."""
        return {name: _taken(array, self.axes.get(name, 0), chosen) for name, array in self.inputs.items()}

    def part(self, first: int, end: int) -> Batch:
        """The samples from `first` to before `end` as a batch of their own, which starts where they do."""
        rows = slice(first, end)
        labels = None if self.labels is None else np.asarray(self.labels[rows])
        targets = {name: array[rows] for name, array in self.targets.items()}
        return Batch(self.start + first, end - first, self.take(rows), labels, self.axes, targets)

    def row(self, name: str) -> tuple[int, ...]:
        """The shape of what an input holds of one sample."""
        return row_of(self.inputs[name].shape, self.axes.get(name, 0))


def samples_in(inputs: Arrays, axes: InputAxes) -> int:
    """Samples that the inputs hold; of a feed, whose inputs have no axis of samples, one."""
    every = ((array.shape, axes.get(name, 0)) for name, array in inputs.items())
    return next((shape[axis] for shape, axis in every if axis is not None), 1)


def row_of(shape: tuple[int, ...], axis: int | None) -> tuple[int, ...]:
    """The shape of one sample of an array that has them along `axis`; of one without, its own."""
    return shape if axis is None else shape[:axis] + shape[axis + 1 :]


def _taken(array: Array, axis: int | None, chosen: slice | NDArray[np.int64]) -> Array:
    if axis is None:
        return array
    # Not ascontiguousarray for all: along the first axis a view will do.
    return array[chosen] if axis == 0 else np.ascontiguousarray(array[(slice(None),) * axis + (chosen,)])


@dataclass(frozen=True)
class Extents:
    """Shapes that one input is fed in.

    Attributes:
        min: the smallest that any check feeds: a single sample, where batches may be of any size.
        opt: the usual one.
        max: the largest.
        least: the smallest batch of the dataset, which must be taken: what would feed less does without. None: `min`.
            No engine depends on it, so that it is no part of what extents are equal by.
        misnamed: axes whose declared name the data contradict: other axes of that name have other sizes.
    """

    min: tuple[int, ...]
    opt: tuple[int, ...]
    max: tuple[int, ...]
    least: tuple[int, ...] | None = field(default=None, compare=False, repr=False)
    misnamed: tuple[int, ...] = ()


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
