"""Counts of what FP16 cannot hold, block by block: every tensor is read once and no copy is larger than a block."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from assay_runner.statistics.blocks import BLOCK, plain
from assay_runner.tensors import Array

OVERFLOW: Final = 65520.0
"""The smallest magnitude that rounds to infinity: halfway from 65504 to 65536, ties to even."""
UNDERFLOW: Final = 2.0**-25
"""The largest magnitude that rounds to zero: half of the smallest subnormal, ties to even."""
NORMAL: Final = 2.0**-14
"""The smallest normal number."""


@dataclass
class RangeCounts:
    """Counts over all elements seen so far; what is not finite counts nowhere.

    Attributes:
        elements: finite elements.
        overflow: |x| ≥ 65520.
        underflow: 0 < |x| ≤ 2^-25.
        subnormal: 2^-25 < |x| < 2^-14.
        zeros: x = 0.
        low: smallest value; Inf where there is none.
        high: largest value; -Inf where there is none.
        smallest: smallest magnitude other than zero; Inf where there is none.
    """

    elements: int = 0
    overflow: int = 0
    underflow: int = 0
    subnormal: int = 0
    zeros: int = 0
    low: float = float("inf")
    high: float = float("-inf")
    smallest: float = float("inf")

    def add(self, array: Array) -> bool:
        """Take a tensor of floats in; whether any of its elements overflows."""
        before = self.overflow
        flat = plain(array).reshape(-1)
        for start in range(0, flat.size, BLOCK):
            block = flat[start : start + BLOCK]
            self._add(block.astype(np.float32) if block.dtype.itemsize < 4 else block)
        return self.overflow > before

    @property
    def largest(self) -> float:
        """The value of largest magnitude, with its sign; 0 of nothing."""
        return max(self.low, self.high, key=abs) if self.elements else 0.0

    def _add(self, block: Array) -> None:
        low, high = float(block.min()), float(block.max())
        if not (np.isfinite(low) and np.isfinite(high)):
            block = block[np.isfinite(block)]
            if not block.size:
                return
            low, high = float(block.min()), float(block.max())
        self.elements += block.size
        self.low, self.high = min(self.low, low), max(self.high, high)
        sizes = np.abs(block)
        if max(-low, high) >= OVERFLOW:
            self.overflow += int(np.count_nonzero(sizes >= OVERFLOW))
        small = sizes[sizes < NORMAL]
        if small.size:
            zeros = int(small.size - np.count_nonzero(small))
            under = int(np.count_nonzero(small <= UNDERFLOW)) - zeros
            self.zeros, self.underflow = self.zeros + zeros, self.underflow + under
            self.subnormal += small.size - zeros - under
        least = sizes.min() if not small.size else np.min(small, where=small > 0, initial=np.inf)
        if np.isinf(least):
            least = np.min(sizes, where=sizes > 0, initial=np.inf)
        self.smallest = min(self.smallest, float(least))
