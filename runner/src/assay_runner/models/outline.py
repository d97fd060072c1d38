"""What a model computes, without the numbers it computes with.

Almost all of a model's file is weights, and almost every question about it is about nodes, names and types. A parsed
copy of the file without its weights answers those, takes kilobytes, and so can be kept: the file is read once.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import onnx

FEW: Final = 256
"""A tensor of no more elements is kept whole: a shape, an axis, a flag."""
PACKED_BITS: Final[Mapping[str, int]] = MappingProxyType(
    {"int2": 2, "uint2": 2, "int4": 4, "uint4": 4, "float4_e2m1fn": 4}
)
"""Types of which a byte holds several elements, though NumPy gives each one of its own."""
_KEPT: Final = 8
_VALUES: Final = (
    "raw_data", "float_data", "int32_data", "string_data", "int64_data", "double_data", "uint64_data",
)  # fmt: skip


def read_outline(path: Path) -> onnx.ModelProto:
    """The model of a file as it stands there, without the values of large tensors; shared, so it must not be changed.

    Raises:
        google.protobuf.message.DecodeError: the file is no ONNX model.
    """
    status = path.stat()
    return _read(path, status.st_size, status.st_mtime_ns)


@lru_cache(_KEPT)
def _read(path: Path, _size: int, _changed: int) -> onnx.ModelProto:
    """Size and time of change are there so that a file written anew is read anew."""
    import onnx

    whole = onnx.load(str(path), load_external_data=False, format="protobuf")
    for tensor in tensors(whole):
        # By its shape: to say how many bytes it takes, protobuf would write all of it.
        if math.prod(tensor.dims) > FEW:
            for field in _VALUES:
                tensor.ClearField(field)
    # A copy, for a message keeps the memory of everything that was ever parsed into it.
    outline = onnx.ModelProto()
    outline.CopyFrom(whole)
    return outline


def tensors(model: onnx.ModelProto) -> Iterator[onnx.TensorProto]:
    """Every tensor that stands in a model, wherever: weights, constants, those of subgraphs, functions and training."""
    yield from _of_graph(model.graph)
    for function in model.functions:
        yield from _of_attributes(function.attribute_proto)
        yield from _of_nodes(function.node)
    for training in model.training_info:
        yield from _of_graph(training.initialization)
        yield from _of_graph(training.algorithm)


def nodes(model: onnx.ModelProto) -> Iterator[onnx.NodeProto]:
    """Every node of a model's graph and of its functions, each followed by those of the graphs that it holds."""
    yield from nodes_of(model.graph.node)
    for function in model.functions:
        yield from nodes_of(function.node)


def nodes_of(there: Iterable[onnx.NodeProto]) -> Iterator[onnx.NodeProto]:
    """Nodes, each followed by those of the graphs that it holds."""
    for node in there:
        yield node
        for attribute in node.attribute:
            for graph in inner_graphs(attribute):
                yield from nodes_of(graph.node)


def _of_graph(graph: onnx.GraphProto) -> Iterator[onnx.TensorProto]:
    yield from graph.initializer
    for sparse in graph.sparse_initializer:
        yield from (sparse.values, sparse.indices)
    yield from _of_nodes(graph.node)


def _of_nodes(nodes: Iterable[onnx.NodeProto]) -> Iterator[onnx.TensorProto]:
    for node in nodes:
        yield from _of_attributes(node.attribute)


def _of_attributes(attributes: Iterable[onnx.AttributeProto]) -> Iterator[onnx.TensorProto]:
    for attribute in attributes:
        if attribute.HasField("t"):
            yield attribute.t
        yield from attribute.tensors
        sparse = (*attribute.sparse_tensors, *_where(attribute, "sparse_tensor"))
        for each in sparse:
            yield from (each.values, each.indices)
        for graph in inner_graphs(attribute):
            yield from _of_graph(graph)


def inner_graphs(attribute: onnx.AttributeProto) -> tuple[onnx.GraphProto, ...]:
    """All graphs that an attribute holds, whatever type it says it has."""
    return (*attribute.graphs, *_where(attribute, "g"))


def _where(attribute: onnx.AttributeProto, field: str) -> tuple[Any, ...]:
    """What a field holds, if it holds anything."""
    return (getattr(attribute, field),) if attribute.HasField(field) else ()


def type_called(kind: int) -> str:
    """What ONNX calls an element type; a file may hold any number for one."""
    from onnx import TensorProto

    return str(TensorProto.DataType.Name(kind)) if kind in TensorProto.DataType.values() else f"type {kind}"


def stored_bytes(tensor: onnx.TensorProto) -> int:
    """Bytes that a tensor's elements take in a file, by its type and shape; 0 for a type that nobody knows."""
    from onnx import helper

    try:
        dtype = helper.tensor_dtype_to_np_dtype(tensor.data_type)
    except KeyError:
        return 0
    bits: int = math.prod(tensor.dims) * PACKED_BITS.get(dtype.name, 8 * int(dtype.itemsize))
    return max(0, -(-bits // 8))
