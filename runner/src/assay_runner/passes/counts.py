"""What is known of one tensor, counted in host memory batch by batch."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from assay_runner.data.rows import by_sample, is_float
from assay_runner.graphs.sample_axes import without_padding
from assay_runner.passes.rises import FIRST
from assay_runner.statistics.blocks import Sums, add_together, plain
from assay_runner.statistics.figures import Early, Figures
from assay_runner.tensors import Array, Batch

Flags = NDArray[np.bool_]


@dataclass
class Counts:
    """Counts of one tensor; the fields are those of `Figures`, and `seen`: samples that were held against golden."""

    sums: Sums = field(default_factory=Sums)
    low: float = float("inf")
    high: float = float("-inf")
    golden_low: float = float("inf")
    golden_high: float = float("-inf")
    samples: int = 0
    nan: int = 0
    positive: int = 0
    negative: int = 0
    first: int = -1
    own: int | None = None
    early: Early | None = None
    reshaped: bool = False
    seen: int = 0

    def add(
        self,
        candidate: Array,
        batch: Batch,
        golden: Array | None,
        axis: int | None,
        alone: tuple[Sums, Array] | None = None,
    ) -> bool:
        """Take the floating-point tensor of a batch in, and golden's where it is at hand.

        Args:
            candidate: as the candidate made it.
            batch: what it was made of.
            golden: golden's.
            axis: along which its samples are; None: they cannot be told apart.
            alone: another tensor of golden's shape, and what to count it in: golden is read once for both.

        Returns:
            Whether all of the candidate's values are finite.
        """
        array = without_padding(candidate, axis, batch)
        if golden is not None and golden.shape == candidate.shape:
            finite = self._compare(golden, array, alone, lambda each: without_padding(each, axis, batch))
            self.seen += batch.count
            if self.early is None and self.seen >= FIRST:
                self.early = Early(self.seen, self.sums.snr)
        else:
            if golden is not None and alone is not None:
                alone[0].add(without_padding(golden, axis, batch), without_padding(alone[1], axis, batch))
            self.low, self.high, finite = _widened(array, self.low, self.high)
            self.reshaped = self.reshaped or (golden is not None and golden.size != candidate.size)
        if not finite:
            self._mark(array, batch, axis)
            if golden is not None:
                self.own = (self.own or 0) + own_samples(candidate, golden, batch, axis)
        return finite

    def figures(self) -> Figures:
        """What was counted."""
        return Figures(
            sums=self.sums,
            low=self.low,
            high=self.high,
            golden_low=self.golden_low,
            golden_high=self.golden_high,
            samples=self.samples,
            nan=self.nan,
            positive=self.positive,
            negative=self.negative,
            first=self.first,
            own=self.own,
            early=self.early,
            reshaped=self.reshaped,
        )

    def _compare(
        self, golden: Array, candidate: Array, alone: tuple[Sums, Array] | None, cut: Callable[[Array], Array]
    ) -> bool:
        """Take all in, in one pass over memory; whether all of the candidate's values are finite."""
        whole = True

        def look(first: Array, second: Array) -> None:
            nonlocal whole
            self.golden_low, self.golden_high, _ = _widened(first, self.golden_low, self.golden_high)
            self.low, self.high, finite = _widened(second, self.low, self.high)
            whole = whole and finite

        expected, others = cut(golden), [(self.sums, candidate)]
        if alone is not None:
            # Golden's very array is told by being the same.
            others.append((alone[0], expected if alone[1] is golden else cut(alone[1])))
        add_together(expected, others, look)
        return whole

    def _mark(self, array: Array, batch: Batch, axis: int | None) -> None:
        flags = [by_sample(flag, axis, batch.count) for flag in _kinds(array)]
        anything = np.logical_or.reduce(flags)
        if self.first < 0:
            self.first = batch.start + int(np.argmax(anything))
        self.samples += int(anything.sum())
        self.nan += int(flags[0].sum())
        self.positive += int(flags[1].sum())
        self.negative += int(flags[2].sum())


def own_samples(candidate: Array, golden: Array, batch: Batch, axis: int | None) -> int:
    """Samples in which the candidate's values are not finite where golden has another value; see `Counts.add`."""
    if not is_float(candidate):
        return 0
    if candidate.shape != golden.shape:
        return batch.count
    array, golden = (without_padding(a, axis, batch) for a in (candidate, golden))
    own = np.logical_or.reduce([a & ~g for a, g in zip(_kinds(array), _kinds(golden), strict=True)])
    return int(by_sample(own, axis, batch.count).sum())


def largest_of(array: Array) -> float:
    """Largest magnitude of what is finite; 0 where nothing is."""
    low, high, _ = _widened(array, math.inf, -math.inf)
    return max(abs(low), abs(high)) if low <= high else 0.0


def _widened(array: Array, low: float, high: float) -> tuple[float, float, bool]:
    """The range with the finite values of an array in it, and whether they are all."""
    if array.size == 0:
        return low, high, True
    array = plain(array)
    # A minimum and a maximum cost no temporary; NaN and infinities show in one of them.
    least, most = float(array.min()), float(array.max())
    finite = math.isfinite(least) and math.isfinite(most)
    if not finite:
        kept = array[np.isfinite(array)]
        least, most = (float(kept.min()), float(kept.max())) if kept.size else (low, high)
    return min(low, least), max(high, most), finite


def _kinds(array: Array) -> tuple[Flags, Flags, Flags]:
    """Where the values are NaN, +Inf and -Inf."""
    wide = plain(array)
    return np.isnan(wide), np.isposinf(wide), np.isneginf(wide)
