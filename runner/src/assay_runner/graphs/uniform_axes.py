"""Along which axes of its outputs a model treats all places alike, so that one that is larger is so by the data alone.

A convolution does the same at every pixel, a product of rows the same to every row: what is dark there is dark in the
picture. Channels, the columns of a table and what is joined, padded or written over along an axis have no such proof.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Final, NamedTuple

import onnx

from assay_runner.graphs.batch_shapes import shapes_for
from assay_runner.graphs.documents import load_outline
from assay_runner.graphs.moved_axes import known_lengths, moved, with_views
from assay_runner.graphs.node_inputs import Reader, small_weights
from assay_runner.graphs.sample_axes import SAMPLES

ELEMENTWISE: Final = frozenset(
    {
        "Abs", "Add", "And", "Cast", "CastLike", "Ceil", "Celu", "Clip", "Cos", "Div", "Dropout", "Elu", "Equal", "Erf",
        "Exp", "Floor", "Gelu", "Greater", "GreaterOrEqual", "HardSigmoid", "HardSwish", "Identity", "IsNaN",
        "LayerNormalization", "LeakyRelu", "Less", "LessOrEqual", "Log", "Max", "Mean", "Min", "Mish", "Mod", "Mul",
        "Neg", "Not", "Or", "PRelu", "Pow", "RMSNormalization", "Reciprocal", "Relu", "Round", "Selu", "Sigmoid",
        "Sign", "Sin", "Softmax", "Softplus", "Softsign", "Sqrt", "Sub", "Sum", "Swish", "Tanh", "ThresholdedRelu",
        "Where", "Xor", "BatchNormalization", "InstanceNormalization", "GroupNormalization", "LRN",
    }
)  # fmt: skip
"""Operators whose results stand where their operands do, or are normalised over some of them."""
BY_CHANNEL: Final = frozenset({"BatchNormalization", "InstanceNormalization", "GroupNormalization"})
SPATIAL: Final = frozenset(
    {
        "Conv", "ConvTranspose", "ConvInteger", "QLinearConv", "DeformConv", "MaxPool", "AveragePool", "LpPool",
        "Resize", "Upsample", "DepthToSpace", "SpaceToDepth", "GridSample",
    }
)  # fmt: skip
"""Operators that do the same all along the axes from the third on."""
MOVES: Final = frozenset(
    {"Reshape", "Flatten", "Transpose", "Squeeze", "Unsqueeze", "Slice", "Compress", "Gather", "GatherND"}
)
RECURRENT: Final = frozenset({"LSTM", "GRU", "RNN"})
DEEP: Final = 200
"""Nodes that are looked at on the way; behind so many of them nothing is proved."""
_KEPT: Final = 8


class Alike(NamedTuple):
    """Of an output, the axes along which the model treats all places alike, and how many axes there are."""

    axes: frozenset[int]
    rank: int


def uniform_axes(path: Path) -> Mapping[str, Alike]:
    """By output, the axes along which the model treats all places alike, as far as its operators prove it.

    Raises:
        InvalidInput: the file is no ONNX model.
    """
    status = path.stat()
    return _of_file(path, status.st_size, status.st_mtime_ns)


@lru_cache(_KEPT)
def _of_file(path: Path, _size: int, _changed: int) -> Mapping[str, Alike]:
    """Size and time of change are there so that a file written anew is read anew."""
    graph = _Graph(load_outline(path))
    return {name: graph.uniform(name) for name in graph.outputs}


class _Graph:
    """A model, read from its outputs back."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self.outputs = [value.name for value in model.graph.output]
        self._small = small_weights(model)
        self._weights = {tensor.name: tuple(tensor.dims) for tensor in model.graph.initializer}
        self._fed = {value.name for value in model.graph.input} - self._weights.keys()
        self._makers = {name: node for node in model.graph.node for name in node.output}
        shapes = shapes_for(model, SAMPLES) | self._weights
        self._shapes = with_views(model, known_lengths(model, self._small, shapes), shapes)

    def uniform(self, name: str) -> Alike:
        """Axes of a tensor along which all places are alike; none of one whose shape is not known."""
        rank = len(self._shapes.get(name, ()))
        return Alike(frozenset(axis for axis in range(rank) if self._proved(name, axis)), rank)

    def _proved(self, name: str, axis: int) -> bool:
        ahead, seen = [(name, axis)], {(name, axis)}
        while ahead:
            if len(seen) > DEEP:
                return False
            found = self._asks(*ahead.pop())
            if found is None:
                return False
            new = [pair for pair in found if pair not in seen]
            seen.update(new)
            ahead += new
        return True

    def _asks(self, name: str, axis: int) -> list[tuple[str, int]] | None:
        """Tensors, with an axis each, along which all must be alike that this one is so; None where it is not known."""
        if name in self._weights:
            return [] if self._weights[name][axis : axis + 1] == (1,) else None
        if name not in self._shapes:
            return None
        if name in self._fed:
            return []
        node = self._makers.get(name)
        if node is None or node.domain not in ("", "ai.onnx"):
            return None
        kind, rank = node.op_type, len(self._shapes.get(name, ()))
        if kind in SPATIAL:
            return [] if axis != 1 else None
        if kind in ("MatMul", "Gemm"):
            return self._rows(node, axis, rank)
        if kind in RECURRENT:
            return [] if axis == 0 and name == node.output[0] else None
        reader = Reader(node, self._small)
        if kind == "LogSoftmax" and axis == (reader.number("axis", -1) or 0) % max(1, rank):
            return []  # One distribution, however sure of it the model is.
        if kind == "Concat":
            along = (reader.number("axis") or 0) % max(1, rank)
            return None if along == axis else [(each, axis) for each in node.input]
        if kind in MOVES:
            return self._before(node, reader, axis)
        return list(self._operands(node, axis, rank)) if kind in ELEMENTWISE or kind == "LogSoftmax" else None

    def _rows(self, node: onnx.NodeProto, axis: int, rank: int) -> list[tuple[str, int]] | None:
        """Rows of the first operand; those of a weight are channels, as the columns of the second are."""
        if rank < 2 or axis == rank - 1 or (axis == rank - 2 and node.input[0] in self._weights):
            return None
        return []

    def _before(self, node: onnx.NodeProto, reader: Reader, axis: int) -> list[tuple[str, int]] | None:
        name = node.input[0]
        rank = len(self._shapes.get(name, ()))
        was = [each for each in range(rank) if moved(node, reader, each, rank, self._shapes) == axis]
        return [(name, was[0])] if was else None

    def _operands(self, node: onnx.NodeProto, axis: int, rank: int) -> Iterator[tuple[str, int]]:
        """Operands as they are broadcast; what normalises by channel has a weight for each, its second axis."""
        for place, name in enumerate(node.input):
            if not name:
                continue
            if place and node.op_type in BY_CHANNEL:
                if axis == 1:
                    yield name, 0
                continue
            shape = self._shapes.get(name)
            at = axis - (rank - len(shape)) if shape is not None else axis
            if shape is None or (at >= 0 and shape[at] != 1):
                yield name, at
