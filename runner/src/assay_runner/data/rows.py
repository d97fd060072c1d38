"""Parts of a batch, and what is said of each of its samples."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from assay_runner.errors import InvalidInput
from assay_runner.statistics.blocks import sums_of
from assay_runner.tensors import Array, Arrays, Batch


def by_sample(flags: Array, axis: int | None, count: int) -> NDArray[np.bool_]:
    """Whether any flag of a sample is set, (count,); where no axis tells samples apart, of any sample.

    Args:
        flags: boolean, of a tensor without rows of padding.
        axis: along which the samples are.
        count: how many samples there are.
    """
    if axis is None:
        return np.full(count, bool(flags.any()))
    rows = np.moveaxis(flags, axis, 0)
    return np.asarray(rows.reshape(len(rows), math.prod(rows.shape[1:])).any(axis=1))


def parts(batch: Batch, size: int | None) -> Iterator[Batch]:
    """The batch in segments of at most `size` samples; as it is where that is None."""
    if size is None or size >= batch.count:
        yield batch
        return
    step = _even(batch.count, size)
    for start in range(0, batch.count, step):
        chosen = slice(start, min(start + step, batch.count))
        yield batch.part(chosen.start, chosen.stop)


def affordable(run: Callable[[Arrays], Arrays], batch: Batch, limit: int) -> int:
    """Samples whose tensors, as `run` gives them, fit into `limit` bytes; at least 1.

    0, all of a batch, where the model will not run on one sample alone.
    """
    try:
        tensors = run(next(parts(batch, 1)).inputs)
    except InvalidInput:
        return 0
    return max(1, limit // max(1, sum(array.nbytes for array in tensors.values())))


def _even(count: int, size: int) -> int:
    """Samples of a part: all parts alike, if twice as many as there must be are enough for that.

    An engine built for one shape can then run all of them.
    """
    least = -(-count // size)
    return next((count // number for number in range(least, 2 * least + 1) if count % number == 0), size)


def is_float(array: Array) -> bool:
    """Whether the elements are floating-point numbers, bfloat16 among them."""
    return is_float_type(array.dtype)


def is_float_type(dtype: np.dtype[Any]) -> bool:
    """Whether elements of this type are floating-point numbers, bfloat16 among them."""
    return dtype.kind == "f" or (dtype.kind == "V" and dtype.name == "bfloat16")


def bits_equal(first: Array, second: Array) -> bool:
    """Whether two arrays hold the same bits: NaN equals NaN, 0 differs from -0."""
    if first.shape != second.shape or first.dtype != second.dtype:
        return False
    if first.size == 0:
        return True
    left, right = (np.ascontiguousarray(a).reshape(-1).view(np.uint8) for a in (first, second))
    return bool(np.array_equal(left, right))


def distance(first: Array, second: Array) -> float:
    """Largest absolute difference; Inf where one alone holds NaN or Inf, NaN where the shapes differ."""
    if first.shape != second.shape:
        return float("nan")
    return sums_of(first, second).max_abs
