"""Sums of products over a block: in float64, or in FP32 where that loses nothing that a figure shows.

Copies in float64 are what sums of FP32 tensors take longest for. Without them:

- A difference of two FP32 numbers is rounded once, by at most 2^-24 of itself, and not at all where one is at most
  twice the other (Sterbenz, Floating-Point Computation, 1974, theorem 4.3.1), as golden and candidate mostly are.
- Products are summed in rows of ROW elements, and the rows in float64. Whatever order BLAS adds a row in, the sum is
  off by at most ROW 2^-24, 3 in 100,000, of that of the magnitudes: 0.00013 dB. BLAS adds up 16 to 64 partial sums,
  and roundings go both ways: 1e-8 to 1e-7 are measured.
- What overflows, or is not finite, makes a sum that is not finite. What becomes zero or subnormal, a product below
  2^-126, is less than 2^-40 of a sum that is at least LEAST, all of a block taken together. Other sums are not told.
"""

from __future__ import annotations

import math
from functools import cached_property
from typing import Final

import numpy as np

from assay_runner.tensors import Array, Floats

WIDE_ROW: Final = 1 << 13
"""Elements of float64 that are summed by one call of BLAS."""
ROW: Final = 512
"""Those of FP32."""
FEW: Final = 1 << 14
"""Elements of a block up to which copies in float64 cost nothing that could be told."""
LEAST: Final = 2.0**-66
"""The least sum of squares that FP32 tells."""


class Room:
    """Memory for blocks, filled anew for each: what is allocated for each is pages that the kernel clears first."""

    def __init__(self, elements: int) -> None:
        """For blocks of at most so many elements; only what is used is taken."""
        self._elements = elements

    @cached_property
    def single(self) -> Array:
        """For a difference in FP32."""
        return np.empty(self._elements, np.float32)

    @cached_property
    def wide(self) -> Floats:
        """For golden in float64."""
        return np.empty(self._elements)

    @cached_property
    def difference(self) -> Floats:
        """For a difference in float64."""
        return np.empty(self._elements)


class Block:
    """A block of golden, and what is found of it once for all that are held against it.

    Attributes:
        array: its elements.
        room: for what is computed of them.
        power: the sum of their squares where FP32 can tell it, else None.
    """

    def __init__(self, array: Array, room: Room) -> None:
        """Look at a block."""
        self.array, self.room = array, room
        self.power = squares(array) if suits(array) else None

    @cached_property
    def wide(self) -> Floats:
        """The same as float64."""
        wide = self.room.wide[: self.array.size]
        np.copyto(wide, self.array)
        return wide

    @cached_property
    def signal(self) -> float:
        """The sum of squares in float64."""
        return dot(self.wide, self.wide)


def dot(first: Floats, second: Floats) -> float:
    """Sum of the products of two vectors of one length; what overflows is infinite or NaN.

    In rows, each of which BLAS sums on one thread: of a longer vector it makes parts for all threads, which wait for
    one another longer than they sum, and whose number would show in the last digits.
    """
    rows = first.size // WIDE_ROW
    whole = rows * WIDE_ROW
    rest = np.dot(first[whole:], second[whole:])
    if not rows:
        return float(rest)
    return float(
        np.matmul(first[:whole].reshape(rows, 1, WIDE_ROW), second[:whole].reshape(rows, WIDE_ROW, 1)).sum() + rest
    )


def suits(block: Array) -> bool:
    """Whether a block is one of FP32 numbers, and large."""
    return block.dtype == np.float32 and block.size > FEW


def squares(block: Array) -> float | None:
    """The sum of the squares of FP32 numbers; None where FP32 cannot tell it."""
    found = products(block, block)
    return found if LEAST <= found < math.inf else None


def products(first: Array, second: Array) -> float:
    """The sum of the products of two vectors of FP32 numbers."""
    whole = first.size // ROW * ROW
    rest = float(np.dot(first[whole:], second[whole:]))
    if not whole:
        return rest
    rows = np.vecdot(first[:whole].reshape(-1, ROW), second[:whole].reshape(-1, ROW))
    return float(rows.sum(dtype=np.float64)) + rest


def exact_largest(golden: Array, candidate: Array, difference: Array, largest: float) -> float:
    """The largest magnitude of a difference as float64 has it.

    Args:
        golden: FP32 numbers.
        candidate: likewise.
        difference: of both, rounded to FP32: rounding keeps order, so the largest is among those that are largest here.
        largest: magnitude in `difference`.
    """
    places = np.flatnonzero(np.abs(difference) == np.float32(largest))
    return float(np.abs(candidate[places].astype(np.float64) - golden[places].astype(np.float64)).max())
