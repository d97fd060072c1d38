"""Where in an output numbers of different scales stand, by how large golden's become, whatever put them there.

An output is looked at along each axis, and along each axis laid out in periods or in blocks, as one is where several
were made one. Places along it fall apart where their largest magnitudes leave a gap: no place has a magnitude between
one scale and FACTOR times as much. What never exceeds 1 counts as 1, as the classes of a softmax do, of which some are
rare: it is not by what the data happen to hold that a scale is told.

Large gaps come about by chance too, as by one feature that is far larger than the rest. So of many places the smaller
part must stand in an order that chance does not make, or be apart by more than that.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from assay_runner.statistics.scales import FACTOR
from assay_runner.tensors import Array, Floats

FEW: Final = 16
"""Places that are quantities of their own each, as the columns of a table are: of so few no order is asked."""
MAPS: Final = 6
"""Channels of a picture that are quantities of their own each, as depth and confidence are; more are features."""
PICTURE: Final = 3
"""Axes of a sample that is no table, but features or colours by place."""
SPREAD: Final = 32.0
"""Between the largest and the smallest of a few quantities that are not of one kind, though no gap is between them."""
WIDE: Final = FACTOR**2
"""A gap that needs no order to be told from chance."""
CHANCE: Final = 0.01
"""That as few runs come about where places of two kinds stand in any order."""
PURE: Final = 0.8
"""Share of the elements of large places that are large themselves, of places that no axis names."""
MOST_ELEMENTS: Final = 1 << 22
"""Of an axis, or of all laid out as one, that is looked at element by element: more would take seconds, and memory."""
MOST_CLASSES: Final = 1 << 13
MOST_RUNS: Final = 512
RUN: Final = 1 / 2000
"""Share of the elements that a run more must tell apart, and one element at least: plain layouts are the true ones."""

Labels = NDArray[np.intp]
Runs = tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Layout:
    """How scales lie in an output.

    Attributes:
        axis: along which axis of a sample; None: along all of them, laid out as one.
        period: after how many places they come again; 0: they do not.
        scales: from the largest to the smallest, at least two, the places of each: first, and behind the last.
        share: of the elements, those that are not of the largest scale.
    """

    axis: int | None
    period: int
    scales: tuple[Runs, ...]
    share: float


def layout(peaks: Array, axes: Collection[int]) -> Layout | None:
    """Where scales lie in an output; None where there is one, or none can be told.

    Args:
        peaks: the largest magnitude of each element over all samples, of the shape of a sample.
        axes: of it, along which there may be several: those along which the model does not treat all places alike.
    """
    if not peaks.size or float(peaks.max()) < FACTOR:
        return None
    # Of a picture, where nothing but its channels is left, operators do the same at all of its places.
    few = FEW if peaks.ndim < PICTURE else MAPS if len(axes) == 1 else 0
    found = [each for axis in axes if 1 < peaks.shape[axis] <= MOST_ELEMENTS for each in _along(peaks, axis, few)]
    if len(axes) == peaks.ndim > 1 and peaks.size <= MOST_ELEMENTS:
        found += _along(peaks.reshape(-1), None, FEW)
    run = max(RUN, 1 / peaks.size)
    return min(found, key=lambda each: run * sum(map(len, each.scales)) - each.share, default=None)


def _along(peaks: Array, axis: int | None, few: int) -> Iterator[Layout]:
    """Layouts along an axis, or along all as one; of so `few` places no order is asked."""
    before = 1 if axis is None else math.prod(peaks.shape[:axis])
    length = peaks.size if axis is None else peaks.shape[axis]
    places = peaks.reshape(before, length, -1)
    largest = places.max(axis=(0, 2))
    numbers = _divisors(length)
    chance = CHANCE / (1 + 2 * len(numbers))
    labels = _apart(largest, 1, CHANCE, few)
    if labels is not None and peaks.ndim >= PICTURE and length <= few:
        # A few bright places of a channel make no scale of it.
        pure = _pure(places.transpose(0, 2, 1).reshape(-1, length), labels)
        labels = labels if pure else _apart(largest, 1, CHANCE)
    if labels is not None and (made := _layout(axis, 0, labels, 1)):
        yield made
    for number in numbers:
        for folded, period, block in (
            (largest.reshape(-1, number), number, 1),
            (largest.reshape(number, -1).T, 0, length // number),
        ):
            labels = _apart(folded.max(axis=0), len(folded), chance)
            if labels is not None and _pure(folded, labels) and (made := _layout(axis, period, labels, block)):
                yield made


def _divisors(length: int) -> list[int]:
    """Numbers of places that a length can be laid out in, with more than one element each."""
    small = [number for number in range(2, math.isqrt(length) + 1) if length % number == 0]
    return sorted({each for number in small for each in (number, length // number) if each <= MOST_CLASSES})


def _apart(largest: Array, elements: int, chance: float = CHANCE, few: int = 0) -> Labels | None:
    """The scale of each place, 0 being the largest; None where there is one only.

    Places where golden is zero in every sample count as of the largest: nothing there can be lost.

    Args:
        largest: the largest magnitude of each place.
        elements: of a place.
        chance: how likely chance may have put them so.
        few: of how many places no order is asked.
    """
    live = np.flatnonzero(largest > 0)
    sizes = np.maximum(1.0, largest[live].astype(np.float64))
    if live.size < 2 or sizes.max() < FACTOR:
        return None
    order = np.argsort(-sizes, kind="stable")
    sizes, table = sizes[order], len(largest) <= few
    steps = sizes[:-1] / sizes[1:]
    labels = np.zeros(len(largest), np.intp)
    for cut in _of_few(sizes) if table else np.flatnonzero(steps >= FACTOR):
        low = np.zeros(len(largest), np.bool_)
        low[live[order[cut + 1 :]]] = True
        if table or steps[cut] >= WIDE or _chance(low, elements) <= chance:
            labels += low
    return labels if labels.any() else None


def _of_few(sizes: Floats) -> list[int]:
    """Behind which of a few quantities, from the largest to the smallest, another scale begins.

    Behind each gap; and where those between two gaps are far apart by many small steps, as metres, angles and scores
    in one row, behind each that is FACTOR times the next or more, counted from the largest of its scale.
    """
    cuts: list[int] = []
    gaps = [int(gap) + 1 for gap in np.flatnonzero(sizes[:-1] >= FACTOR * sizes[1:])]
    for start, stop in pairwise([0, *gaps, len(sizes)]):
        top, spread = start, sizes[start] >= SPREAD * sizes[stop - 1]
        cuts += [start - 1] if start else []
        for place in range(start, stop):
            if spread and sizes[top] >= FACTOR * sizes[place]:
                cuts.append(place - 1)
                top = place
    return cuts


def _chance(low: NDArray[np.bool_], elements: int) -> float:
    """How likely the smaller part stands in so few runs, or fills so few places, were any order as likely as another.

    Args:
        low: whether a place belongs to the part.
        elements: of a place.
    """
    total = low.size
    part = low if 2 * int(low.sum()) <= total else ~low
    count = int(part.sum())
    if elements > 1:
        return math.exp(_ways(total, count) - _ways(total * elements, count * elements))
    runs = int((np.diff(part.astype(np.int8), prepend=0) == 1).sum())
    whole, most = _ways(total, count), min(runs, count, total - count + 1)
    return sum(math.exp(_ways(count - 1, j - 1) + _ways(total - count + 1, j) - whole) for j in range(1, most + 1))


def _ways(number: int, chosen: int) -> float:
    """The logarithm of how many ways there are to choose so many."""
    return math.lgamma(number + 1) - math.lgamma(chosen + 1) - math.lgamma(number - chosen + 1)


def _pure(folded: Array, labels: Labels) -> bool:
    """Whether what is of a larger scale is so in most of its elements, and not by a few of them.

    Args:
        folded: the largest magnitude of each element, (as many as there are, places).
        labels: of the places.
    """
    for scale in range(int(labels.max())):
        below = folded[:, labels > scale].max()
        own = folded[:, labels <= scale]
        live = own > 0
        if (own > max(1.0, float(below))).sum() < PURE * live.sum():
            return False
    return True


def _layout(axis: int | None, period: int, labels: Labels, block: int) -> Layout | None:
    """By the scale of each place, of `block` elements in a row each; None where there are too many runs to be told."""
    edges = np.flatnonzero(np.diff(labels)) + 1
    if len(edges) >= MOST_RUNS:
        return None
    starts, stops = [0, *map(int, edges)], [*map(int, edges), len(labels)]
    scales: list[list[tuple[int, int]]] = [[] for _ in range(int(labels.max()) + 1)]
    for start, stop in zip(starts, stops, strict=True):
        scales[labels[start]].append((start * block, stop * block))
    return Layout(axis, period, tuple(map(tuple, scales)), float((labels > 0).mean()))
