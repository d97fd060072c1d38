"""Where an axis lies behind an operator that moves numbers about, and lists of lengths that say so."""

from __future__ import annotations

from collections.abc import Mapping

import onnx
import onnx.helper

from assay_runner.graphs.batch_shapes import Dims, inferred
from assay_runner.graphs.node_inputs import Reader
from assay_runner.tensors import Array


def moved(node: onnx.NodeProto, reader: Reader, axis: int, rank: int, shapes: Mapping[str, Dims]) -> int | None:
    """Where an axis of a node's first input lies in its output; None where it is cut, mixed, or not known.

    Args:
        node: what moves it.
        reader: of the node.
        axis: of the input.
        rank: of the input.
        shapes: of tensors, as far as they are known.
    """
    kind = node.op_type
    if kind == "Transpose":
        perm = reader.list("perm", 9) or list(reversed(range(rank)))
        return perm.index(axis)
    if kind in ("Squeeze", "Unsqueeze"):
        return _squeezed(kind == "Unsqueeze", reader.list("axes", 1) or [], axis, rank)
    if kind in ("Reshape", "Flatten"):
        return _kept(axis, shapes.get(node.input[0], ()), shapes.get(node.output[0], ()))
    if kind == "Slice":
        axes = reader.list("axes", 3)
        return None if axes is None or axis in [each % rank for each in axes] else axis
    if kind == "Compress":
        along = reader.number("axis")
        return None if along is None or along % rank == axis else axis
    if kind == "Gather":
        along, chosen = (reader.number("axis") or 0) % rank, shapes.get(node.input[1])
        if along == axis or chosen is None:
            return None
        return axis if axis < along else axis + len(chosen) - 1
    if kind == "GatherND" and axis == rank - 1:
        chosen = shapes.get(node.input[1])
        # Whole rows are taken, not single numbers.
        rows = chosen is not None and chosen[-1] == rank - 1
        return len(shapes.get(node.output[0], ())) - 1 if rows else None
    return None


def _squeezed(wider: bool, axes: list[int], axis: int, rank: int) -> int | None:
    """Where an axis is once axes of length 1 were put in, or taken out."""
    whole = rank + (len(axes) if wider else 0)
    other = sorted(each % whole for each in axes)
    if not other or (not wider and axis in other):
        return None
    if wider:
        return [each for each in range(whole) if each not in other][axis]
    return axis - sum(each < axis for each in other)


def known_lengths(model: onnx.ModelProto, weights: Mapping[str, Array], shapes: Mapping[str, Dims]) -> dict[str, Dims]:
    """Lists of lengths that are put together of numbers and of what only the data say, which is None."""
    found: dict[str, Dims] = {}
    for name, array in weights.items():
        if array.dtype.kind == "i" and array.ndim == 1:
            found[name] = tuple(int(size) if size > 0 else None for size in array)
    for node in model.graph.node:
        if node.op_type != "Concat":
            continue
        parts: list[Dims | None] = []
        for name in node.input:
            shape = shapes.get(name)
            size = shape[0] if shape is not None and len(shape) == 1 else None
            parts.append(found.get(name) or ((None,) * size if isinstance(size, int) else None))
        if all(part is not None for part in parts):
            found[node.output[0]] = tuple(length for part in parts for length in part or ())
    return found


def with_views(model: onnx.ModelProto, lengths: Mapping[str, Dims], shapes: Mapping[str, Dims]) -> dict[str, Dims]:
    """Shapes of tensors, and of those behind a Reshape whose lengths are put together of numbers and of what data say.

    Where one length is the data's, inference knows none of them, nor anything of what is computed from there. Changes
    the model.
    """
    views = [node for node in model.graph.node if node.op_type == "Reshape" and node.output[0] not in shapes]
    known = {node.output[0]: lengths[node.input[1]] for node in views if node.input[1] in lengths}
    if not known:
        return dict(shapes)
    del model.graph.value_info[:]
    model.graph.value_info.extend(
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.UNDEFINED, shape) for name, shape in known.items()
    )
    return inferred(model) | known | dict(shapes)


def _kept(axis: int, before: Dims, after: Dims) -> int | None:
    """Where an axis is after a change of shape that leaves all before it, or all behind it, as it was."""
    if axis < len(after) and before[: axis + 1] == after[: axis + 1] and isinstance(after[axis], int):
        return axis
    behind = len(before) - axis
    if behind <= len(after) and before[axis:] == after[len(after) - behind :] and None not in before[axis:]:
        return len(after) - behind
    return None
