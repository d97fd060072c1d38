"""Tensors each row of which names the sample that it belongs to, as what NonMaxSuppression selects does.

Their number of rows depends on the data, so no axis holds the samples; but where operators alone say that the first
number of a row is the index of a sample, the rows of each can be told apart.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

import numpy as np
import onnx

from assay_runner.graphs.node_inputs import Reader, small_weights
from assay_runner.tensors import Array

SAME: Final = frozenset({"Identity", "Cast", "CastLike"})


class Rows(NamedTuple):
    """Where a tensor's rows are, and the number in each that names its sample.

    Attributes:
        axis: along which the rows lie.
        rank: 2, or 1 where the sample's index is all there is of a row.
    """

    axis: int
    rank: int


def named_rows(model: onnx.ModelProto, axes: Mapping[str, int | None]) -> dict[str, int]:
    """Tensors whose rows name their sample first, and the axis along which the rows lie.

    Args:
        model: without the values of large weights.
        axes: by tensor, the axis of samples, as far as it is known.
    """
    if not any(node.op_type in ("NonMaxSuppression", "NonZero") for node in model.graph.node):
        return {}
    constants = small_weights(model)
    found: dict[str, Rows] = {}
    for node in model.graph.node:
        rows = _made(node, Reader(node, constants), found, axes)
        if rows is not None:
            found[node.output[0]] = rows
    return {name: rows.axis for name, rows in found.items()}


def _made(
    node: onnx.NodeProto, reader: Reader, found: Mapping[str, Rows], axes: Mapping[str, int | None]
) -> Rows | None:
    """What is known of a node's first output."""
    if node.op_type in ("NonMaxSuppression", "NonZero"):
        return Rows(0 if node.op_type == "NonMaxSuppression" else 1, 2) if axes.get(node.input[0]) == 0 else None
    if node.op_type == "Concat":
        return _joined(reader, found)
    rows = found.get(node.input[0]) if node.input else None
    if rows is None or node.op_type in SAME:
        return rows
    change = _CHANGES.get(node.op_type)
    return change(rows, reader) if change else None


def _joined(reader: Reader, found: Mapping[str, Rows]) -> Rows | None:
    """Behind the index of the sample, or row below row."""
    first, axis = found.get(reader.inputs[0]), reader.number("axis", 0)
    if first is None or axis is None:
        return None
    along = axis % first.rank == first.axis
    return first if not along or all(found.get(name) == first for name in reader.inputs) else None


def _turned(rows: Rows, reader: Reader) -> Rows | None:
    return Rows(1 - rows.axis, 2) if rows.rank == 2 and reader.list("perm", 9) in (None, [1, 0]) else None


def _gathered(rows: Rows, reader: Reader) -> Rows | None:
    """Other rows, or some of the numbers of each with the sample's index first."""
    axis = (reader.number("axis", 0) or 0) % rows.rank
    if axis == rows.axis:
        # Which rows are taken is the data's to say: a list of them, which is no constant of another rank.
        chosen = reader.constant(1)
        return rows if chosen is None or chosen.ndim == 1 else None
    chosen = reader.constant(1)
    if chosen is None or chosen.ndim > 1 or not chosen.size or int(chosen.reshape(-1)[0]) != 0:
        return None
    return rows if chosen.ndim == 1 else Rows(0, 1)


def _sliced(rows: Rows, reader: Reader) -> Rows | None:
    starts, axes = reader.list("starts", 1), reader.list("axes", 3)
    steps = reader.list("steps", 4)
    if axes is None:
        # Left out, they are all from the first on; not constant, they are not known.
        if starts is None or (len(reader.inputs) > 3 and reader.inputs[3]):
            return None
        axes = list(range(len(starts)))
    for place, axis in enumerate(axes):
        if axis % rows.rank != rows.axis and (starts is None or starts[place] != 0 or (steps or [1] * 9)[place] < 1):
            return None
    return rows


def _split(rows: Rows, reader: Reader) -> Rows | None:
    return rows if (reader.number("axis", 0) or 0) % rows.rank != rows.axis else None


def _widened(rows: Rows, reader: Reader) -> Rows | None:
    axes = reader.list("axes", 1)
    return Rows(1 - axes[0] % 2, 2) if rows.rank == 1 and axes and len(axes) == 1 else None


def _narrowed(rows: Rows, reader: Reader) -> Rows | None:
    axes = reader.list("axes", 1)
    return Rows(0, 1) if rows.rank == 2 and axes and [axis % 2 for axis in axes] == [1 - rows.axis] else None


def _reshaped(rows: Rows, reader: Reader) -> Rows | None:
    """A list of indices as a column, a row or a list."""
    shape = reader.list("shape", 1)
    if rows.rank != 1 or shape not in ([-1], [-1, 1], [1, -1]):
        return None
    return Rows(shape.index(-1), len(shape))


def _compressed(rows: Rows, reader: Reader) -> Rows | None:
    axis = reader.number("axis")
    return rows if axis is not None and axis % rows.rank == rows.axis else None


_CHANGES: Final = {
    "Transpose": _turned,
    "Gather": _gathered,
    "Slice": _sliced,
    "Split": _split,
    "Unsqueeze": _widened,
    "Squeeze": _narrowed,
    "Reshape": _reshaped,
    "Compress": _compressed,
}


def rows_by_sample(array: Array, axis: int, count: int) -> Iterator[Array]:
    """The rows of each of `count` samples, in order, rows first; those that name another are left out.

    Args:
        array: of rank 2 or 1, the sample's index first in each row.
        axis: along which the rows lie.
        count: samples.
    """
    rows = np.moveaxis(array, axis, 0)
    named = rows if rows.ndim == 1 else rows[:, 0]
    for sample in range(count):
        yield rows[named == sample]
