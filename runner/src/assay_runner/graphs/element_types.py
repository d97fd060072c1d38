"""Element types as a graph writes them: in weights, attributes and declarations, inside control flow too."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
from onnx import AttributeProto, TensorProto, helper, numpy_helper

from assay_runner.graphs.documents import subgraphs
from assay_runner.graphs.weights import weight
from assay_runner.tensors import Array

FLOAT_TYPES: Final = (TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.FLOAT16, TensorProto.BFLOAT16)
TYPE_ATTRIBUTES: Final = ("to", "dtype", "output_dtype", "output_datatype")
"""Attributes that hold an element type."""


def cast(array: Array, dtype: np.dtype[Any]) -> Array:
    """The array in another type, where what it cannot hold becomes infinite."""
    # Of an overflow the check fp16Range tells; numpy's warning would say it to the terminal, without the name.
    with np.errstate(over="ignore"):
        return np.asarray(array.astype(dtype))


def written(model: onnx.ModelProto) -> set[int]:
    """`TensorProto` element types that a model's weights, constants, casts and declarations name; no node makes others.

    Args:
        model: without local functions; its weights may be external, or left out.
    """
    return set(_in_graph(model.graph))


def _in_graph(graph: onnx.GraphProto) -> Iterator[int]:
    yield from (tensor.data_type for tensor in graph.initializer)
    yield from (sparse.values.data_type for sparse in graph.sparse_initializer)
    yield from (kind.elem_type for value in (*graph.input, *graph.output) for kind in _tensors(value.type))
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.name in TYPE_ATTRIBUTES and attribute.type == AttributeProto.INT:
                yield attribute.i
            elif attribute.type == AttributeProto.TENSOR:
                yield attribute.t.data_type
        for inner in subgraphs(node) if node.attribute else ():
            yield from _in_graph(inner)


def _tensors(kind: onnx.TypeProto) -> Iterator[onnx.TypeProto.Tensor]:
    """The types of tensors in a type: itself, or what a sequence or an optional holds."""
    match kind.WhichOneof("value"):
        case "tensor_type":
            yield kind.tensor_type
        case "sequence_type":
            yield from _tensors(kind.sequence_type.elem_type)
        case "optional_type":
            yield from _tensors(kind.optional_type.elem_type)


def says_type(node: onnx.NodeProto, changed: Collection[int]) -> bool:
    """Whether an attribute of the node holds one of these element types, or a tensor of one."""
    return any(
        (attribute.name in TYPE_ATTRIBUTES and attribute.i in changed)
        or (attribute.type == AttributeProto.TENSOR and attribute.t.data_type in changed)
        for attribute in node.attribute
    )


def declare(value: onnx.ValueInfoProto, target: int, changed: Collection[int]) -> None:
    """Give what a value is declared to hold the target type, where it is one of those that change; in place."""
    for kind in _tensors(value.type):
        if kind.elem_type in changed:
            kind.elem_type = target


def with_type(node: onnx.NodeProto, target: int, changed: Collection[int] = FLOAT_TYPES) -> onnx.NodeProto:
    """A copy of the node, its attributes of the target type in place of those that change; its subgraphs as before."""
    copy = onnx.NodeProto()
    copy.CopyFrom(node)
    dtype = helper.tensor_dtype_to_np_dtype(target)
    for attribute in copy.attribute:
        if attribute.name in TYPE_ATTRIBUTES and attribute.i in changed:
            attribute.i = target
        elif attribute.type == AttributeProto.TENSOR and attribute.t.data_type in changed:
            value = np.asarray(numpy_helper.to_array(attribute.t))
            attribute.t.CopyFrom(numpy_helper.from_array(cast(value, dtype), attribute.t.name))
    plain = node.op_type == "Constant" and node.attribute[0].name in ("value_float", "value_floats")
    if plain and TensorProto.FLOAT in changed:
        value = np.asarray(helper.get_attribute_value(node.attribute[0]), np.float32)
        copy.attribute[0].CopyFrom(helper.make_attribute("value", numpy_helper.from_array(cast(value, dtype))))
    return copy


def inside_with_type(node: onnx.NodeProto, target: int, changed: Collection[int], source: Path) -> onnx.NodeProto:
    """A copy of the node, all floats inside its subgraphs of the target type: weights, constants, casts, declarations.

    Args:
        node: any; without subgraphs it is `with_type`.
        target: `TensorProto` element type.
        changed: those that become it.
        source: folder in which the weights lie.
    """
    copy = with_type(node, target, changed)
    dtype = helper.tensor_dtype_to_np_dtype(target)
    for graph in subgraphs(copy):
        for tensor in graph.initializer:
            if tensor.data_type in changed and tensor.data_type != target:
                value = cast(weight(tensor, source), dtype)
                tensor.CopyFrom(numpy_helper.from_array(np.asarray(value, order="C"), tensor.name))
        for declared in (*graph.input, *graph.output):
            declare(declared, target, changed)
        del graph.value_info[:]
        nodes = [inside_with_type(inner, target, changed, source) for inner in graph.node]
        del graph.node[:]
        graph.node.extend(nodes)
    return copy
