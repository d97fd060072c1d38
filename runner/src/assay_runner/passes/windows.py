"""How many elements of a tensor each window of a pooling covers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from assay_runner.tensors import Array


def windows(given: Sequence[int], made: Sequence[int], attributes: Mapping[str, Any]) -> Array:
    """By how many elements an AveragePool divides, of the shape that it makes without its first two axes.

    Args:
        given: spatial extents of what it reads.
        made: of what it makes.
        attributes: of the node.
    """
    counts = np.ones((), np.float64)
    for axis in range(len(given)):
        counts = np.multiply.outer(counts, _along(axis, given[axis], made[axis], attributes))
    return counts


def _along(axis: int, length: int, number: int, attributes: Mapping[str, Any]) -> Array:
    """Elements that the windows cover along one axis, with padding where that counts."""
    size = attributes["kernel_shape"][axis]
    stride, dilation = _of(attributes, "strides", axis), _of(attributes, "dilations", axis)
    before, after = _padding(axis, length, number, size, stride, dilation, attributes)
    places = np.arange(number)[:, None] * stride - before + np.arange(size)[None, :] * dilation
    low, high = (-before, length + after) if attributes.get("count_include_pad", 0) else (0, length)
    return np.asarray(np.count_nonzero((places >= low) & (places < high), axis=1), np.float64)


def _padding(
    axis: int, length: int, number: int, size: int, stride: int, dilation: int, attributes: Mapping[str, Any]
) -> tuple[int, int]:
    mode = attributes.get("auto_pad", b"NOTSET")
    mode = mode.decode() if isinstance(mode, bytes) else mode
    if mode in ("SAME_UPPER", "SAME_LOWER"):
        total = max(0, (number - 1) * stride + (size - 1) * dilation + 1 - length)
        return (total // 2, total - total // 2) if mode == "SAME_UPPER" else (total - total // 2, total // 2)
    pads = attributes.get("pads") if mode == "NOTSET" else None
    return (pads[axis], pads[axis + len(pads) // 2]) if pads else (0, 0)


def _of(attributes: Mapping[str, Any], name: str, axis: int) -> int:
    given = attributes.get(name)
    return int(given[axis]) if given else 1
