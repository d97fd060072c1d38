"""Graph inputs that say how large something is to be: the sizes of a Resize, the shape of a Reshape, the pads of a Pad.

They are no data. Each is given values with which its operator changes nothing, or next to nothing: what it reads keeps
its shape, so that whatever comes behind fits as it does in the model's own code.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
import onnx

from assay_runner.graphs.batch_shapes import Dims, by_operators, dims
from assay_runner.graphs.documents import attributes
from assay_runner.tensors import Array, TensorSpec

_PLACES: Final[Mapping[str, Mapping[int, str]]] = {
    "Resize": {2: "ones", 3: "shape"},
    "Upsample": {1: "ones"},
    "Reshape": {1: "folded"},
    "Expand": {1: "ones"},
    "CenterCropPad": {1: "shape"},
    "Tile": {1: "ones"},
    "Pad": {1: "zeros"},
    "TopK": {1: "ones"},
    "ConstantOfShape": {0: "ones"},
    "Slice": {1: "zeros", 2: "lengths", 3: "places", 4: "ones"},
}
"""What an operator reads at a place, where that is no data."""
_PASSING: Final = frozenset({"Cast", "Identity", "Squeeze", "Unsqueeze", "Reshape", "Flatten"})
_UNBOUNDED: Final = 1 << 30
"""An end that no axis reaches before it is cut off."""


class ShapeInput(NamedTuple):
    """What an input is to an operator.

    Attributes:
        kind: what stands at its place: "shape" of the data as they are, the same "folded" so that the first axis takes
            what is left, "ones", "zeros", "places" of axes in order, or "lengths" that nothing reaches.
        op: operator that reads it.
        data: the tensor that the operator works on; empty where there is none.
        first: the axis that the first value is of; None: the last value is of the last axis.
        axes: of the operator's attribute, where it has one.
    """

    kind: str
    op: str
    data: str = ""
    first: int | None = None
    axes: tuple[int, ...] = ()

    @property
    def whole(self) -> bool:
        """Whether its values may say how many samples there are."""
        return self.kind == "shape" and self.first == 0 and (not self.axes or 0 in self.axes)


def shape_inputs(graph: onnx.GraphProto) -> dict[str, ShapeInput]:
    """Inputs of one axis that a node of the outer graph reads where no data are read, by name."""
    weights = {tensor.name: tensor.dims[0] for tensor in graph.initializer if len(tensor.dims) == 1}
    lengths = {value.name: (dims(value) or (None,))[0] for value in graph.value_info if len(dims(value) or ()) == 1}
    origin: dict[str, tuple[str, int | None]] = {
        value.name: (value.name, 0) for value in graph.input if len(dims(value) or ()) == 1
    }
    found: dict[str, ShapeInput] = {}
    for node in graph.node:
        if node.op_type in _PASSING and node.input[0] in origin:
            origin.setdefault(node.output[0], origin[node.input[0]])
        if node.op_type == "Concat":
            origin |= _joined(node, origin, weights | lengths)
        for place, kind in _PLACES.get(node.op_type, {}).items():
            name = node.input[place] if place < len(node.input) else ""
            if name in origin:
                of = tuple(attributes(node).get("axes", ()))
                data = node.input[0] if place else ""
                found.setdefault(origin[name][0], ShapeInput(kind, node.op_type, data, origin[name][1], of))
    return found


def _joined(
    node: onnx.NodeProto, origin: Mapping[str, tuple[str, int | None]], lengths: Mapping[str, Any]
) -> Iterator[tuple[str, tuple[str, int | None]]]:
    """Where an input stands in what is put together of several."""
    before: int | None = 0
    for place, name in enumerate(node.input):
        if name in origin:
            last = place == len(node.input) - 1
            yield node.output[0], (origin[name][0], None if last else before)
            return
        size = lengths.get(name)
        before = before + size if before is not None and isinstance(size, int) else None


def values_of(
    inputs: Sequence[TensorSpec],
    found: Mapping[str, ShapeInput],
    model: onnx.ModelProto,
    fed: Mapping[str, Sequence[int]],
) -> dict[str, Array]:
    """Values of these inputs with which the model may run.

    Args:
        inputs: of the model.
        found: which of them are read as shapes.
        model: its outline; changed.
        fed: shapes of the others.
    """
    shapes = _inferred(model, fed, found)
    specs = {spec.name: spec for spec in inputs}
    made = {name: _values(specs[name], how, shapes.get(how.data)) for name, how in found.items() if name in specs}
    return {name: array for name, array in made.items() if array is not None}


def _inferred(model: onnx.ModelProto, fed: Mapping[str, Sequence[int]], found: Iterable[str]) -> dict[str, Dims]:
    for value in model.graph.input:
        if value.name in fed and value.name not in found:
            kind = value.type.tensor_type.elem_type
            value.CopyFrom(onnx.helper.make_tensor_value_info(value.name, kind, list(fed[value.name])))
    return by_operators(model)


def _values(spec: TensorSpec, how: ShapeInput, data: Sequence[Any] | None) -> Array | None:
    declared = spec.shape[0] if spec.shape else None
    rank = len(data) if data is not None else None
    count = declared if isinstance(declared, int) else {"zeros": 2 * rank}.get(how.kind, rank) if rank else None
    if count is None:
        return None
    made: Sequence[int]
    match how.kind:
        case "shape":
            known = _lengths(how, data or (), count)
            if known is None:
                return None
            made = known
        case "folded":
            if data is None or not all(isinstance(size, int) for size in data[1:]):
                return None
            rest = [*data[1:], *[1] * count] if count >= len(data) else data[len(data) - count + 1 :]
            made = [-1, *rest[: count - 1]]
        case "places":
            made = range(count)
        case "lengths":
            made = [_UNBOUNDED] * count
        case _:
            made = [int(how.kind == "ones")] * count
    return np.array(made).astype(spec.dtype)


def _lengths(how: ShapeInput, data: Sequence[Any], count: int) -> list[int] | None:
    """Lengths of the axes that so many values are of; a shape of fewer axes holds the rest in its last."""
    if how.axes:
        found = [data[axis] for axis in how.axes if -len(data) <= axis < len(data)]
    elif how.first is None or count < len(data):
        start = len(data) - count if how.first is None else how.first
        found = list(data[max(start, 0) :][:count])
    else:
        found = [*data, *[1] * (count - len(data))]
    return [int(size) for size in found] if all(isinstance(size, int) for size in found) else None
