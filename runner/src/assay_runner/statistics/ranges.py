"""Counts of what FP16 cannot hold, block by block: every tensor is read once and no copy is larger than a block."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

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
        room: Array = np.empty(0, np.float32)
        for start in range(0, flat.size, BLOCK):
            block = flat[start : start + BLOCK]
            block = block.astype(np.float32) if block.dtype.itemsize < 4 else block
            # Filled anew for every block: what is allocated for each is pages that the kernel clears first.
            room = room if room.size >= block.size else np.empty(block.size, block.dtype)
            self._add(block, room)
        return self.overflow > before

    @property
    def largest(self) -> float:
        """The value of largest magnitude, with its sign; 0 of nothing."""
        return max(self.low, self.high, key=abs) if self.elements else 0.0

    def _add(self, block: Array, room: Array) -> None:
        low, high = float(block.min()), float(block.max())
        if not (np.isfinite(low) and np.isfinite(high)):
            block = block[np.isfinite(block)]
            if not block.size:
                return
            low, high = float(block.min()), float(block.max())
        self.elements += block.size
        self.low, self.high = min(self.low, low), max(self.high, high)
        sizes = np.abs(block, out=room[: block.size])
        if max(-low, high) >= OVERFLOW:
            self.overflow += int(np.count_nonzero(sizes >= OVERFLOW))
        # Magnitudes are ordered as their bits are, read as an integer; one less, and those of zero are the largest.
        bits = sizes.view(f"u{sizes.itemsize}")
        np.subtract(bits, 1, out=bits)
        if low <= 0 <= high:
            zeros = int(np.count_nonzero(bits == _place(0, sizes)))
            self.zeros += zeros
            if zeros == block.size:
                return
        least = bits.min()
        self.smallest = min(self.smallest, float(np.asarray(least + 1, bits.dtype).view(sizes.dtype)))
        if least < (normal := _place(NORMAL, sizes)):
            under = int(np.count_nonzero(bits <= _place(UNDERFLOW, sizes))) if self.smallest <= UNDERFLOW else 0
            self.underflow += under
            self.subnormal += int(np.count_nonzero(bits < normal)) - under


def _place(size: float, sizes: Array) -> np.unsignedinteger[Any]:
    """The bits of a magnitude in the type of others, one less."""
    bits = np.array([size], sizes.dtype).view(f"u{sizes.itemsize}")
    found: np.unsignedinteger[Any] = np.subtract(bits, 1)[0]
    return found
