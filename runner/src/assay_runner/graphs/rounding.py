"""A lower precision, emulated in FP32 by rounding every tensor explicitly.

A graph merely converted to FLOAT16 computes in FP32 inside on a CPU and shows nothing. Here every float tensor passes
through the lower precision: `op -> cast down -> cast up`, weights and graph inputs too. Each tensor keeps its name for
the rounded value, so that taps, subgraphs and comparisons find it. Inside one operator sums stay FP32, as they do in
tensor cores that accumulate in FP32.

TF32 is no storage format: only operands of matrix products and convolutions lose mantissa bits, so only those are
rounded, to 11 significant bits by Veltkamp's splitting (T. J. Dekker, Numer. Math. 18, 1971, 224-242).

A node held to another format than the candidate's reads and gives out in that one, as between the casts of a strongly
typed graph: what it makes bears its name as made, and who reads it in a narrower format rounds what it reads.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

import ml_dtypes
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from assay_runner.graphs.control_flow import FLOATS, element_types, learn_types
from assay_runner.graphs.documents import captured, fresh, rename_uses, subgraphs
from assay_runner.graphs.formats import Formats, is_operand
from assay_runner.graphs.operators import MOVES
from assay_runner.graphs.piecewise import Part, piecewise
from assay_runner.graphs.shapes import shape_tensors
from assay_runner.graphs.weights import weight
from assay_runner.tensors import Array

CASTS: Mapping[str, int] = MappingProxyType({"fp16": TensorProto.FLOAT16, "bf16": TensorProto.BFLOAT16})

# From here on a value becomes infinite: the largest number and half a unit in its last place (round to nearest, even).
LARGEST: Mapping[str, float] = MappingProxyType({"fp16": 65520.0, "bf16": (2 - 2**-8) * 2.0**127})

NORMAL = np.uint32(0x38800000)
SPAN = np.uint32(0x477FEFFF - 0x38800000)
"""Bits of FP16's least normal number, and from there to the last FP32 number that is not rounded to infinity."""
SPLIT = float(2**13 + 1)
SPLIT_LIMIT = 1e34


def rounder(precision: str) -> Callable[[Array], Array]:
    """What fp16, bf16 or tf32 makes of a value: float32 array to float32 array, values beyond the range to infinity."""
    if precision == "tf32":
        return _split
    rounding = _half if precision == "fp16" else _brain

    def through(array: Array) -> Array:
        found = np.empty(array.shape, np.float32)

        def work(part: Part) -> None:
            with np.errstate(over="ignore", invalid="ignore"):
                rounding(np.asarray(array[part]), found[part])

        piecewise(array.shape, work)
        return found

    return through


def _half(given: Array, found: Array) -> None:
    """FP16's value of each FP32 number, by its bits: what is behind the tenth of its mantissa is rounded, ties to even.

    A conversion there and back takes three times as long. It is left with what has fewer digits there, or none: values
    near zero, those beyond the range, NaN.
    """
    if given.dtype != np.float32:
        found[...] = given.astype(np.float16)
        return
    bits = np.ascontiguousarray(given).reshape(-1).view(np.uint32)
    rounded = bits >> np.uint32(13)
    rounded &= np.uint32(1)
    rounded += np.uint32(0xFFF)
    rounded += bits
    rounded &= np.uint32(0xFFFFE000)
    magnitude = bits & np.uint32(0x7FFFFFFF)
    magnitude -= NORMAL
    others = np.flatnonzero(magnitude > SPAN)
    if others.size:
        rounded[others] = bits[others].view(np.float32).astype(np.float16).astype(np.float32).view(np.uint32)
    found[...] = rounded.view(np.float32).reshape(found.shape)


def _brain(given: Array, found: Array) -> None:
    found[...] = given.astype(ml_dtypes.bfloat16)


def _split(array: Array) -> Array:
    with np.errstate(over="ignore", invalid="ignore"):
        scaled = array * np.float32(SPLIT)
        return np.where(np.abs(array) < np.float32(SPLIT_LIMIT), scaled - (scaled - array), array).astype(np.float32)


def emulate(model: onnx.ModelProto, formats: Formats, types: Mapping[str, int], source: Path) -> tuple[int, ...]:
    """Round every float tensor, in place, those inside control flow too.

    The weights of the outer graph are rounded by `rounder`, elsewhere, as `formats.weights` says of the model as given.

    Args:
        model: all float tensors of the outer graph FP32.
        formats: what each node computes in.
        types: element types of node outputs, graph inputs and weights.
        source: folder in which its weights lie.

    Returns:
        Which of the outer graph's control-flow nodes hold float tensors that could not be rounded, counted from 0.
    """
    learn_types(model, types)
    floats = frozenset(name for name, kind in types.items() if kind == TensorProto.FLOAT)
    rewriter = _Rewriter(model, formats, floats, source)
    rewriter.rewrite()
    return tuple(rewriter.unrounded)


@dataclass
class _Rewriter:
    model: onnx.ModelProto
    formats: Formats
    floats: frozenset[str]
    source: Path
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    unrounded: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.name = fresh(self.model)
        self.kept = shape_tensors(self.model.graph)
        self.rounds = self.floats - self.kept
        self.unclear = False
        self.made = self.formats.weights(self.model)
        self.read: dict[tuple[str, str], str] = {}

    def rewrite(self) -> None:
        """FP16, BF16: every float tensor that is no shape. TF32: operands of products, unless rounded as weights."""
        done = {name: name for name, kind in self.made.items() if kind == "tf32"}
        weights = {t.name for t in self.model.graph.initializer if t.data_type == TensorProto.FLOAT}
        if self.formats.base == "tf32":
            self._constants()
        for node in self._outer():
            match self.formats.of(node):
                case "fp16" | "bf16" as half:
                    self._read(node, half)
                    self.made |= dict.fromkeys((name for name in node.output if name in self.floats), half)
                    self._round(node, half, self.floats, self.kept)
                case "tf32":
                    self._split_operands(node, self.floats | weights, done)
                case _:
                    self.nodes.append(node)
        self._finish()

    def _read(self, node: onnx.NodeProto, half: str) -> None:
        """Let the node read rounded what was made in another format: graph inputs, and what wider nodes made."""
        for name in dict.fromkeys((*node.input, *sorted(captured(node)))):
            if name not in self.rounds or self.made.get(name) == half:
                continue
            if (name, half) not in self.read:
                self.read[name, half] = self.name(f"{name}__rounded")
                self._cast(name, self.read[name, half], half)
            rename_uses(node, {name: self.read[name, half]})

    def _outer(self) -> Iterator[onnx.NodeProto]:
        """Nodes of the outer graph; of those with subgraphs, remembers which stayed unclear."""
        number = 0
        for node in self.model.graph.node:
            inner, self.unclear = any(subgraphs(node)), False
            yield node
            if self.unclear:
                self.unrounded.append(number)
            number += inner

    def _round(self, node: onnx.NodeProto, half: str, floats: Collection[str], kept: Collection[str]) -> None:
        """The node, its insides rounded, with casts behind it."""
        unrounded = any(name in kept for name in (*node.input, *captured(node)))
        moves = node.op_type in MOVES and node.domain in ("", "ai.onnx") and not unrounded
        for graph in subgraphs(node):
            with self._inside(graph) as own:
                shapes = shape_tensors(graph)
                self._round_weights(graph, half, shapes)
                for inner in graph.node:
                    self._round(inner, half, own, shapes)
        raw = []
        for index, output in enumerate(node.output):
            if output in floats and output not in kept and not moves:
                node.output[index] = self.name(f"{output}__raw")
                raw.append((node.output[index], output))
        self.nodes.append(node)
        for source, target in raw:
            self._cast(source, target, half)

    def _split_operands(self, node: onnx.NodeProto, floats: frozenset[str], done: dict[str, str]) -> None:
        """The node, with its operands split before it; `done` are those split before."""
        for graph in subgraphs(node):
            with self._inside(graph) as own:
                within = dict(done)
                for inner in graph.node:
                    self._split_operands(inner, floats | own, within)
        for index, name in enumerate(node.input):
            if is_operand(node, index) and name in floats:
                if name not in done:
                    done[name] = self.name(f"{name}__tf32")
                    self._split(name, done[name])
                node.input[index] = done[name]
        self.nodes.append(node)

    @contextmanager
    def _inside(self, graph: onnx.GraphProto) -> Iterator[frozenset[str]]:
        """Names of a subgraph's float tensors; the nodes made meanwhile become its nodes."""
        types = element_types(graph)
        foreign = {0, *FLOATS} - {TensorProto.FLOAT}
        self.unclear = self.unclear or any(kind in foreign for kind in types.values())
        outer, self.nodes = self.nodes, []
        yield frozenset(name for name, kind in types.items() if kind == TensorProto.FLOAT)
        del graph.node[:]
        graph.node.extend(self.nodes)
        del graph.value_info[:]
        self.nodes = outer

    def _round_weights(self, graph: onnx.GraphProto, half: str, kept: Collection[str]) -> None:
        rounding = rounder(half)
        for tensor in graph.initializer:
            if tensor.data_type == TensorProto.FLOAT and tensor.name not in kept:
                tensor.CopyFrom(numpy_helper.from_array(rounding(weight(tensor, self.source)), tensor.name))

    def _finish(self) -> None:
        del self.model.graph.node[:]
        self.model.graph.node.extend(self.nodes)
        del self.model.graph.value_info[:]

    def _cast(self, source: str, target: str, half: str) -> None:
        name = self.name(f"{target}__{half}")
        self.nodes.append(helper.make_node("Cast", [source], [name], name=name, to=CASTS[half]))
        self.nodes.append(helper.make_node("Cast", [name], [target], name=f"{name}_up", to=TensorProto.FLOAT))

    def _constants(self) -> None:
        self.factor, self.limit = self.name("assay__split"), self.name("assay__limit")
        for name, value in ((self.factor, SPLIT), (self.limit, SPLIT_LIMIT)):
            self.model.graph.initializer.append(helper.make_tensor(name, TensorProto.FLOAT, [], [value]))

    def _split(self, source: str, target: str) -> None:
        scaled, rest, high, size, small = (self.name(f"{target}_{part}") for part in ("c", "r", "h", "a", "s"))
        for op, inputs, output in (
            ("Mul", [source, self.factor], scaled),
            ("Sub", [scaled, source], rest),
            ("Sub", [scaled, rest], high),
            ("Abs", [source], size),
            ("Less", [size, self.limit], small),
            ("Where", [small, high, source], target),
        ):
            self.nodes.append(helper.make_node(op, inputs, [output], name=output))
