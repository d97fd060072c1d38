"""What a model computes, without the numbers it computes with.

Almost all of a model's file is weights, and almost every question about it is about nodes, names and types. A parsed
copy of the file without its weights answers those, takes kilobytes, and so can be kept: the file is read once.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import onnx

FEW: Final = 256
"""A tensor of no more elements is kept whole: a shape, an axis, a flag."""
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
    """Every tensor that stands in a model: weights, constants, those of subgraphs and functions."""
    yield from _of_graph(model.graph)
    for function in model.functions:
        yield from _of_nodes(function.node)


def _of_graph(graph: onnx.GraphProto) -> Iterator[onnx.TensorProto]:
    yield from graph.initializer
    for sparse in graph.sparse_initializer:
        yield from (sparse.values, sparse.indices)
    yield from _of_nodes(graph.node)


def _of_nodes(nodes: Iterable[onnx.NodeProto]) -> Iterator[onnx.TensorProto]:
    for node in nodes:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t
            yield from attribute.tensors
            for graph in (*attribute.graphs, *((attribute.g,) if attribute.HasField("g") else ())):
                yield from _of_graph(graph)
