"""Sums of the elements of a tensor and of their squares along some of its axes, in one pass over memory."""

from __future__ import annotations

import math
from collections.abc import Collection

import numpy as np

from assay_runner.statistics.blocks import BLOCK
from assay_runner.tensors import Array, Floats


def axis_sums(array: Array, axes: Collection[int]) -> tuple[Floats, Floats]:
    """The sum of x and the sum of x² along `axes`, in float64; the axes stay, with length 1.

    Args:
        array: real numbers.
        axes: counted from 0.
    """
    kept = [axis for axis in range(array.ndim) if axis not in axes]
    shape = tuple(1 if axis in axes else size for axis, size in enumerate(array.shape))
    number = math.prod(array.shape[axis] for axis in kept)
    rows = array.transpose(*kept, *sorted(axes)).reshape(number, array.size // max(1, number))
    sums, squares = np.zeros(number), np.zeros(number)
    high, wide = max(1, BLOCK // max(1, rows.shape[1])), min(rows.shape[1], BLOCK)
    for top in range(0, number, high):
        for left in range(0, rows.shape[1], max(1, wide)):
            block = rows[top : top + high, left : left + wide].astype(np.float64)
            sums[top : top + high] += block.sum(axis=1)
            squares[top : top + high] += np.einsum("ij,ij->i", block, block)
    return sums.reshape(shape), squares.reshape(shape)


def squared_deviations(sums: Floats, squares: Floats, count: int) -> Floats:
    """The sum of (x - mean)² of `count` elements whose sums these are; what float64 cannot tell from 0 is 0."""
    found = squares - np.square(sums) / max(1, count)
    return np.where(found > 1e-13 * squares, found, 0.0)
