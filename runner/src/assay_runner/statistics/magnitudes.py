"""Elements counted by powers of two of their magnitude, block by block."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from assay_runner.statistics.blocks import BLOCK, plain
from assay_runner.tensors import Array

LEAST: Final = -1074
"""The power of two of the smallest number a double holds."""
POWERS: Final = 1024 - LEAST


class Magnitudes:
    """Counts over all elements seen so far.

    Attributes:
        counts: element i counts 2^(LEAST+i) ≤ |x| < 2^(LEAST+i+1).
        zeros: elements that are zero.
        not_finite: NaN and infinities.
    """

    def __init__(self) -> None:
        """Nothing seen."""
        self.counts: NDArray[np.int64] = np.zeros(POWERS, np.int64)
        self.zeros = 0
        self.not_finite = 0

    def add(self, array: Array) -> None:
        """Take a tensor of floats in."""
        flat = plain(array).reshape(-1)
        for start in range(0, flat.size, BLOCK):
            block = flat[start : start + BLOCK]
            finite = block[np.isfinite(block)]
            live = finite[finite != 0]
            self.not_finite += block.size - finite.size
            self.zeros += finite.size - live.size
            # frexp: x = m · 2^e with 0.5 ≤ |m| < 1.
            powers = np.frexp(live)[1].astype(np.int64) - 1 - LEAST
            self.counts += np.bincount(powers, minlength=POWERS)
