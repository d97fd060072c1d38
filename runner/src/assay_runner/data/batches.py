"""Rows, as shards give them, made into what a model is fed. Pure functions."""

from __future__ import annotations

import numpy as np

from assay_runner.tensors import Array, TensorSpec


def typed(array: Array, spec: TensorSpec) -> Array:
    """Rows in the type that the model takes; of types that NumPy does not name in files, files hold bare bytes."""
    return array if array.dtype == spec.dtype else array.view(spec.dtype)


def padded(rows: Array, count: int) -> Array:
    """So many rows: the last one is repeated."""
    missing = count - len(rows)
    return rows if missing == 0 else np.concatenate([rows, np.repeat(rows[-1:], missing, axis=0)])


def along(rows: Array, axis: int | None) -> Array:
    """Rows with their samples along another axis than the first; of a feed, the single one, which is all of it."""
    if axis is None:
        return np.asarray(rows[0])
    return np.ascontiguousarray(np.moveaxis(rows, 0, axis)) if axis else rows


def repeated(sample: Array, count: int, axis: int | None) -> Array:
    """One sample, so many times along an axis; as it is, where all share it."""
    return sample if axis is None else np.repeat(np.expand_dims(sample, axis), count, axis)


def stacked(row: tuple[int, ...], count: int, axis: int | None) -> tuple[int, ...]:
    """The shape of so many samples along an axis."""
    return row if axis is None else (*row[:axis], count, *row[axis:])
