"""Of what parts an output is put together along an axis: boxes and scores side by side, each in a scale of its own.

It is what operators do that tells: a concatenation along an axis, or a factor per channel, which later operators keep
apart. What one operator made in one scale, as a softmax over classes, is one part, however rare a class of it is.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import onnx

from assay_runner.graphs.batch_shapes import shapes_for
from assay_runner.graphs.cut_out import Cut, cut_out
from assay_runner.graphs.documents import load_outline
from assay_runner.graphs.moved_axes import known_lengths, moved, with_views
from assay_runner.graphs.node_inputs import Reader, small_weights
from assay_runner.graphs.sample_axes import SAMPLES
from assay_runner.statistics.scales import FACTOR, Part
from assay_runner.tensors import Array

MOST: Final = 32
"""Parts of one output; what is put together of more is judged as a whole."""
BOUNDED: Final = frozenset({"Sigmoid", "Softmax", "HardSigmoid", "Tanh", "Softsign", "Sin", "Cos"})
"""Operators whose results have magnitudes up to 1."""
MOVING: Final = frozenset(
    {
        "Identity", "Cast", "CastLike", "QuantizeLinear", "DequantizeLinear", "Clip", "Relu", "Abs", "Neg", "Dropout",
        "Reshape", "Flatten", "Transpose", "Squeeze", "Unsqueeze", "Slice", "Split", "Gather", "GatherND",
        "GatherElements", "Expand", "ReduceMax", "Compress",
    }
)  # fmt: skip
"""Operators that make no magnitude larger."""
KEEPING: Final = frozenset(
    {
        "Identity", "Cast", "CastLike", "QuantizeLinear", "DequantizeLinear", "Clip", "Relu", "Abs", "Neg", "Dropout",
        "GatherElements",
    }
)  # fmt: skip
"""Operators that change no element's place, and make none larger."""
SCALING: Final = frozenset(
    {"Add", "Sub", "Mul", "Div", "Pow", "Max", "Min", "Exp", "Log", "Sqrt", "LeakyRelu", "Softplus", "Reciprocal"}
)
"""Operators that change no element's place."""
KEPT: Final = 8


class Parts(NamedTuple):
    """Of what a tensor is put together.

    Attributes:
        axis: along which axis.
        rank: of the tensor.
        parts: in order, one behind the other; at least two.
    """

    axis: int
    rank: int
    parts: tuple[Part, ...]

    @property
    def length(self) -> int:
        """Of the axis."""
        return self.parts[-1].stop


def output_parts(path: Path) -> Mapping[str, Parts]:
    """The outputs of a model that operators put together of parts.

    Raises:
        InvalidInput: the file is no ONNX model.
    """
    status = path.stat()
    return _of_file(path, status.st_size, status.st_mtime_ns)


@lru_cache(KEPT)
def _of_file(path: Path, _size: int, _changed: int) -> Mapping[str, Parts]:
    """Size and time of change are there so that a file written anew is read anew."""
    model = load_outline(path)
    outputs = [value.name for value in model.graph.output]
    graph = _Graph(model)
    found = {name: graph.found[name] for name in outputs if name in graph.found}
    return {name: each for name, each in found.items() if len(each.parts) > 1}


class _Graph:
    """What is known of the tensors of a graph, from the first node to the last."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self._weights = small_weights(model)
        self._shapes = shapes_for(model, SAMPLES)
        self._shapes |= {tensor.name: tuple(tensor.dims) for tensor in model.graph.initializer}
        self._shapes = with_views(model, known_lengths(model, self._weights, self._shapes), self._shapes)
        self._bounded: set[str] = set()
        self._cuts: dict[str, Cut] = {}
        self.found: dict[str, Parts] = {}
        for node in model.graph.node:
            if node.domain not in ("", "ai.onnx"):
                continue
            made = self._made(node)
            if cut := cut_out(node, Reader(node, self._weights), self._shapes, self._cuts):
                self._cuts[node.output[0]] = cut
            if self._is_bounded(node):
                self._bounded.update(node.output)
            if made is not None and 1 < len(made.parts) <= MOST:
                self.found[node.output[0]] = made

    def _is_bounded(self, node: onnx.NodeProto) -> bool:
        if node.op_type in ("Concat", "Mul", "Max", "Min"):
            return self._bounded.issuperset(node.input)
        return node.op_type in BOUNDED or (node.op_type in MOVING and node.input[0] in self._bounded)

    def _made(self, node: onnx.NodeProto) -> Parts | None:
        kind, reader = node.op_type, Reader(node, self._weights)
        if kind == "Concat":
            return self._joined(node, reader)
        if kind == "ScatterND":
            return self._written_over(node, reader)
        first = self.found.get(node.input[0]) if node.input else None
        if kind in SCALING:
            return self._scaled(node)
        if first is None or kind in KEEPING:
            return first
        if kind in ("Reshape", "Flatten") and (flat := self._flattened(node, first)):
            return flat
        axis = moved(node, reader, first.axis, first.rank, self._shapes)
        kept = first.rank if kind in ("Transpose", "Slice", "Compress") else 0
        rank = len(self._shapes.get(node.output[0], ())) or kept
        return None if axis is None or axis >= rank else Parts(axis, rank, first.parts)

    def _flattened(self, node: onnx.NodeProto, first: Parts) -> Parts | None:
        """Parts whose axis is laid out with all behind it as one: each stays in one piece."""
        before, after = (self._shapes.get(name, ()) for name in (node.input[0], node.output[0]))
        behind = [size for size in before[first.axis + 1 :] if isinstance(size, int)]
        times = math.prod(behind)
        if times == 1 or len(before) != first.rank or len(behind) != first.rank - first.axis - 1:
            return None
        if len(after) != first.axis + 1 or after[-1] != first.length * times or before[: first.axis] != after[:-1]:
            return None
        parts = (part._replace(start=part.start * times, stop=part.stop * times) for part in first.parts)
        return Parts(first.axis, len(after), tuple(parts))

    def _joined(self, node: onnx.NodeProto, reader: Reader) -> Parts | None:
        shapes = [self._shapes.get(name) for name in node.input]
        rank = len(shapes[0] or ())
        if not rank:
            return None
        axis, inner = (reader.number("axis") or 0) % rank, [self.found.get(name) for name in node.input]
        across = {each.axis for each in inner if each is not None and each.axis != axis}
        if len(across) == 1 and all(each is not None and each.axis != axis for each in inner):
            # Anchors of several sizes, one below the other: each row is put together alike.
            return _met(each for each in inner if each is not None)
        lengths = [shape[axis] if shape and axis < len(shape) else None for shape in shapes]
        parts: list[Part] = []
        for name, length, each in zip(node.input, lengths, inner, strict=True):
            if not isinstance(length, int):
                return None
            start = parts[-1].stop if parts else 0
            own = each.parts if each and each.axis == axis else (Part(0, length, name in self._bounded),)
            parts += [Part(start + part.start, start + part.stop, part.bounded) for part in own]
        return Parts(axis, rank, tuple(_merged(parts)))

    def _written_over(self, node: onnx.NodeProto, reader: Reader) -> Parts | None:
        """Channels that were cut out, computed with and put back where they were, as `y[..., :4] *= stride` is."""
        before, cut = self._shapes.get(node.input[0], ()), self._cuts.get(node.input[2])
        if cut is None or reader.text("reduction", "none") != "none" or not cut.put_back(before):
            return None
        length, name = before[cut.axis], node.input[0]
        assert isinstance(length, int)
        old = self.found.get(name) or Parts(cut.axis, len(before), (Part(0, length, name in self._bounded),))
        if old.axis != cut.axis:
            return None
        edges = sorted({cut.start, cut.stop, *(edge for part in old.parts for edge in (part.start, part.stop))})
        bounded = [part for part in old.parts if part.bounded]
        kept = [a < cut.start or a >= cut.stop for a in edges[:-1]]
        own = [on and any(part.start <= a < part.stop for part in bounded) for on, a in zip(kept, edges, strict=False)]
        parts = (Part(a, b, each) for (a, b), each in zip(pairwise(edges), own, strict=True))
        return Parts(cut.axis, len(before), tuple(parts))

    def _scaled(self, node: onnx.NodeProto) -> Parts | None:
        """Parts of all operands, and those that a factor per channel makes."""
        ranks = [self.found[name].rank for name in node.input if name in self.found]
        rank = len(self._shapes.get(node.output[0], ())) or max(ranks, default=0)
        found: list[Parts] = []
        for name in node.input:
            if name in self.found and rank:
                each = self.found[name]
                # A bound holds no longer once something is added or multiplied.
                loose = tuple(part._replace(bounded=False) for part in each.parts)
                found.append(Parts(each.axis + rank - each.rank, rank, loose))
        if node.op_type in ("Mul", "Div"):
            found += self._factors(node, rank)
        return _met(found)

    def _factors(self, node: onnx.NodeProto, rank: int) -> Iterator[Parts]:
        for place, name in enumerate(node.input):
            factors = self._weights.get(name)
            if factors is None or factors.dtype.kind != "f" or factors.ndim > rank:
                continue
            wide = [axis for axis, size in enumerate(factors.shape) if size > 1]
            if len(wide) == 1:
                bounded = all(other in self._bounded for other in node.input if other != name)
                size = np.abs(factors.reshape(-1).astype(np.float64))
                parts = _runs(1 / size if node.op_type == "Div" and place and size.all() else size, bounded)
                yield Parts(wide[0] + rank - factors.ndim, rank, tuple(parts))


def _met(found: Iterable[Parts]) -> Parts | None:
    """The parts of several tensors of one rank and axis: cut wherever one of them is; None where they differ."""
    given = list(found)
    if not given or len({(each.axis, each.rank, each.length) for each in given}) > 1:
        return given[0] if len(given) == 1 else None
    cuts = sorted({0, *(part.stop for each in given for part in each.parts)})
    parts = [Part(start, stop, False) for start, stop in pairwise(cuts)]
    for index, part in enumerate(parts):
        over = [other for each in given for other in each.parts if other.start < part.stop and other.stop > part.start]
        parts[index] = part._replace(bounded=all(other.bounded for other in over))
    return Parts(given[0].axis, given[0].rank, tuple(_merged(parts)))


def _merged(parts: Iterable[Part]) -> list[Part]:
    """The same, with neighbours that share the scale of their bound as one."""
    found: list[Part] = []
    for part in parts:
        if found and found[-1].bounded and part.bounded:
            found[-1] = Part(found[-1].start, part.stop, True)
        else:
            found.append(part)
    return found


def _runs(sizes: Array, bounded: bool) -> Iterator[Part]:
    """Channels behind one another whose factors are near one another; of what is bounded, with a factor near 1."""
    start = 0
    for stop in range(1, len(sizes) + 1):
        run = sizes[start : stop + 1]
        if stop == len(sizes) or run.max() > FACTOR * run.min():
            yield Part(start, stop, bounded and 1 / FACTOR <= float(sizes[start:stop].max()) <= FACTOR)
            start = stop
