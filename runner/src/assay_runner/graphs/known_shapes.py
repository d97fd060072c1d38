"""Integers that a model computes of shapes it declares: the rank of a tensor, or a length that no input can change.

An exporter leaves what code asked of ranks in conditions. Of a shape some lengths are known and others are not, so each
unknown one is given two different numbers, and whatever only moves elements is evaluated with either: what comes out
alike holds none of them. Nothing that calculates or compares is evaluated so.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from typing import Final, NamedTuple

import numpy as np
import onnx
from onnx import numpy_helper

from assay_runner.graphs.batch_shapes import by_operators
from assay_runner.models.outline import FEW
from assay_runner.tensors import Array

MOVES: Final = frozenset(
    {"Constant", "Identity", "Gather", "Slice", "Concat", "Squeeze", "Unsqueeze", "Reshape", "Size"}
)
"""Operators that compute nothing of their elements; of Size and Shape, only how many there are matters."""
STANDS_FOR: Final = (1_000_003, 2_000_003)
"""Numbers that an unknown length is given; lengths are told apart by what is added."""


class _Either(NamedTuple):
    """A tensor under both assignments."""

    first: Array
    second: Array

    @property
    def known(self) -> bool:
        return self.first.shape == self.second.shape and bool((self.first == self.second).all())


def shape_values(model: onnx.ModelProto, asked: Collection[str]) -> dict[str, Array]:
    """Values of small tensors that declared shapes decide, among what these tensors of the outer graph are made of.

    Args:
        model: its large weights may be without values.
        asked: names of tensors of the outer graph.
    """
    nodes = _upstream(model, asked)
    if not any(node.op_type == "Shape" for node in nodes):
        return {}
    bare = onnx.ModelProto()
    bare.CopyFrom(model)
    shapes = by_operators(bare)
    weights = {tensor.name: tensor for tensor in model.graph.initializer if _inside(tensor)}
    found: dict[str, _Either] = {}
    made: set[str] = set()
    for node in nodes:
        value = _of_shape(node, shapes) if node.op_type == "Shape" else _moved(model, node, found, weights)
        if value is not None:
            found[node.output[0]] = value
            if node.op_type == "Shape" or not made.isdisjoint(node.input):
                made.add(node.output[0])
    return {name: value.first for name, value in found.items() if name in made and value.known}


def _upstream(model: onnx.ModelProto, asked: Collection[str]) -> list[onnx.NodeProto]:
    """Nodes in order that make these tensors, back to where a shape is taken."""
    wanted, found = set(asked), list[onnx.NodeProto]()
    for node in reversed(model.graph.node):
        if wanted.isdisjoint(node.output):
            continue
        found.append(node)
        if node.op_type != "Shape":
            wanted.update(node.input)
    return found[::-1]


def _of_shape(node: onnx.NodeProto, shapes: Mapping[str, tuple[int | str | None, ...]]) -> _Either | None:
    shape = shapes.get(node.input[0])
    if shape is None:
        return None
    of = {attribute.name: attribute.i for attribute in node.attribute}
    lengths = range(len(shape))[of.get("start", 0) : of.get("end", len(shape))]
    either = [
        np.array(
            [size if isinstance(size := shape[axis], int) and size > 0 else unknown + axis for axis in lengths],
            np.int64,
        )
        for unknown in STANDS_FOR
    ]
    return _Either(*either)


def _inside(tensor: onnx.TensorProto) -> bool:
    """Whether its values are few, and stand in the model's file."""
    return math.prod(tensor.dims) <= FEW and tensor.data_location != onnx.TensorProto.EXTERNAL


def _moved(
    model: onnx.ModelProto,
    node: onnx.NodeProto,
    found: Mapping[str, _Either],
    weights: Mapping[str, onnx.TensorProto],
) -> _Either | None:
    if node.op_type not in MOVES or node.domain not in ("", "ai.onnx"):
        return None
    read = [name for name in node.input if name]
    if not all(name in found or name in weights for name in read):
        return None
    # Where to, and how many, must be known: what is cut off at an unknown place may be alike for two numbers only.
    places = () if node.op_type == "Concat" else read[1:]
    if not all(name in weights or found[name].known for name in places):
        return None
    both = []
    for place in range(len(STANDS_FOR)):
        fed = {n: found[n][place] if n in found else numpy_helper.to_array(weights[n]) for n in read}
        value = _evaluated(model, node, fed)
        if value is None or value.size > FEW:
            return None
        both.append(value)
    return _Either(*both)


def _evaluated(model: onnx.ModelProto, node: onnx.NodeProto, fed: Mapping[str, Array]) -> Array | None:
    from onnx.reference import ReferenceEvaluator

    alone = onnx.ModelProto(ir_version=model.ir_version, opset_import=model.opset_import)
    alone.graph.name = "moved"
    alone.graph.node.add().CopyFrom(node)
    for name, array in fed.items():
        kind = onnx.helper.np_dtype_to_tensor_dtype(array.dtype)
        alone.graph.input.append(onnx.helper.make_tensor_value_info(name, kind, list(array.shape)))
    alone.graph.output.append(onnx.ValueInfoProto(name=node.output[0]))
    try:
        [value] = ReferenceEvaluator(alone).run(None, dict(fed))
    except Exception:  # It raises what it likes; what it cannot compute is not known.
        return None
    return np.asarray(value)
