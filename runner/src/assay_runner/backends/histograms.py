"""Histograms of magnitudes in one pass, whose range is not known before: it doubles where a larger value comes.

A bin is a power of two wide, so that where the range doubles, two bins become one and no value changes sides: what
comes out is what it would be had the range been known from the start, whatever the batches.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from assay_runner.backends.thresholds import Histogram
from assay_runner.tensors import Array

BINS: Final = 1 << 15
"""Bins over the range, a power of two just above the largest magnitude: more than half of them lie below that, so that
a bin is at most 1/16384 of it wide."""
PIECE: Final = 1 << 17
"""Values that are looked at at a time: few enough to stay in a core's cache."""
_SMALLEST: Final = -100
"""Exponent of the smallest range; of tensors that are even smaller the bins are coarser."""


class Magnitudes:
    """The magnitudes of a tensor: their histogram, zeros left out, and the largest of them.

    Attributes:
        peak: largest magnitude so far; Inf or NaN once one was not finite.
        counted: whether there is a histogram.
        counts: values by bin; the bins end at `end`.
    """

    def __init__(self, counted: bool = True) -> None:
        """Nothing was seen.

        Args:
            counted: whether there is to be a histogram; else only the largest is found.
        """
        self.peak = 0.0
        self.counted = counted
        self.counts: Histogram = np.zeros(BINS if counted else 0, np.int64)
        self._exponent = _SMALLEST

    @property
    def end(self) -> float:
        """Where the bins end: above the largest magnitude, and at most twice as large where that is not tiny."""
        return math.ldexp(1.0, self._exponent)

    def add(self, values: Array) -> None:
        """Count more values, of any shape."""
        flat = values.reshape(-1)
        for start in range(0, len(flat), PIECE):
            self._add(np.abs(flat[start : start + PIECE]))

    def resampled(self, bins: int) -> Histogram:
        """Counts of so many equal bins, fewer than there are, that end at the largest magnitude.

        A bin that an edge of those runs through is shared out as if its values were spread evenly, where both its
        neighbours hold some too; what stands alone, such as a grey level, stays together.
        """
        if not self.peak:
            return np.zeros(bins, np.int64)
        ratio = self.end / BINS * (bins / self.peak)
        used = np.flatnonzero(self.counts)
        counts = self.counts[used]
        low, high = (np.minimum(((used + end) * ratio).astype(np.int64), bins - 1) for end in (0, 1))
        middle = np.minimum(((used + 0.5) * ratio).astype(np.int64), bins - 1)
        around = np.append(np.append(0, self.counts), 0) > 0
        spread = (low < high) & around[used] & around[used + 2]
        first = np.where(spread, np.rint(counts * (high / ratio - used)).astype(np.int64), 0)
        result = np.zeros(bins, np.int64)
        np.add.at(result, low, first)
        np.add.at(result, np.where(spread, high, middle), counts - first)
        return result

    def _add(self, magnitudes: Array) -> None:
        largest = float(magnitudes.max(initial=0))
        if not largest <= self.peak:
            self.peak = largest
        if not self.counted or not math.isfinite(self.peak):
            return
        if largest >= self.end:
            self._widen(math.frexp(largest)[1])
        # By a power of two: exact, and so is what follows from it.
        scale = math.ldexp(1.0, BINS.bit_length() - 1 - self._exponent)
        self.counts += np.bincount((magnitudes * magnitudes.dtype.type(scale)).astype(np.intp), minlength=BINS)
        self.counts[0] -= len(magnitudes) - int(np.count_nonzero(magnitudes))

    def _widen(self, exponent: int) -> None:
        """Let the range end at 2 to the exponent."""
        factor = 1 << min(exponent - self._exponent, BINS.bit_length() - 1)
        merged = self.counts.reshape(-1, factor).sum(axis=1)
        self.counts = np.zeros(BINS, np.int64)
        self.counts[: len(merged)] = merged
        self._exponent = exponent
