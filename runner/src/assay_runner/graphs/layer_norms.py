"""A LayerNorm spelt out in steps, put back into the one operator that it is.

The squares that the steps write out leave FP16's range where values are around 300; the operator keeps them in FP32
inside. Mean, difference, square, mean, epsilon, root, quotient; scale and shift where they follow: ONNX's own
definition of LayerNormalization (opset 17).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import onnx
from onnx import helper, numpy_helper

from assay_runner.graphs.documents import attributes, captured, fresh
from assay_runner.graphs.taps import name_of
from assay_runner.graphs.weights import weight

FIRST_OPSET: Final = 17


@dataclass(frozen=True)
class Spelt:
    """One LayerNorm spelt out.

    Attributes:
        source: what it normalises.
        result: what its last step makes.
        steps: names of its nodes.
        epsilon: what keeps the root from zero.
        axis: the first axis that is normalised, counted from the end.
        scale: name of the weight that it multiplies by, or empty.
        shift: name of the weight that it adds, or empty.
    """

    source: str
    result: str
    steps: frozenset[str]
    epsilon: float
    axis: int
    scale: str
    shift: str


def spelt_out(model: onnx.ModelProto, source: Path, ranks: Mapping[str, int]) -> tuple[Spelt, ...]:
    """Every LayerNorm that the outer graph spells out, in its order.

    Args:
        model: the graph, constants as weights.
        source: folder of its weights.
        ranks: number of axes by tensor, where known.
    """
    return tuple(_Reading(model, source, ranks).found())


def fuse(model: onnx.ModelProto, found: tuple[Spelt, ...], widths: Mapping[str, int]) -> tuple[Spelt, ...]:
    """Put the operator in place of each, in place; those where it could be put.

    Args:
        model: of opset 17 or later.
        found: as `spelt_out` has them.
        widths: length of the last axis by tensor, where known: a LayerNorm without a scale needs one of ones.
    """
    fused: list[Spelt] = []
    name = fresh(model)
    for each in found:
        scale = each.scale
        if not scale:
            if each.axis != -1 or each.source not in widths:
                continue
            scale = name(f"{each.result}__ones")
            ones = np.ones(widths[each.source], np.float32)
            model.graph.initializer.append(numpy_helper.from_array(ones, scale))
        _put(model, each, [each.source, scale, *([each.shift] if each.shift else [])])
        fused.append(each)
    return tuple(fused)


def _put(model: onnx.ModelProto, each: Spelt, inputs: list[str]) -> None:
    """The operator where the last step was, and away with the steps whose results nobody reads any more."""
    nodes = list(model.graph.node)
    last = next(number for number, node in enumerate(nodes) if each.result in node.output)
    nodes[last] = helper.make_node(
        "LayerNormalization", inputs, [each.result], name=name_of(nodes[last]), axis=each.axis, epsilon=each.epsilon
    )
    steps = set(each.steps)
    for number in range(len(nodes) - 1, -1, -1):
        node = nodes[number]
        if number == last or name_of(node) not in steps:
            continue
        read = {made for other in nodes for made in (*other.input, *captured(other))}
        read |= {output.name for output in model.graph.output}
        if read.isdisjoint(node.output):
            del nodes[number]
            last -= number < last
    del model.graph.node[:]
    model.graph.node.extend(nodes)


class _Reading:
    def __init__(self, model: onnx.ModelProto, source: Path, ranks: Mapping[str, int]) -> None:
        self.model, self.folder, self.ranks = model, source, ranks
        self.makers = {output: node for node in model.graph.node for output in node.output if output}
        self.weights = {tensor.name: tensor for tensor in model.graph.initializer}
        self.readers: dict[str, list[onnx.NodeProto]] = {}
        for node in model.graph.node:
            for name in node.input:
                self.readers.setdefault(name, []).append(node)

    def found(self) -> Iterator[Spelt]:
        for node in self.model.graph.node:
            if node.op_type == "Div" and (spelt := self._spelt(node)):
                yield spelt

    def _made_by(self, name: str, op: str) -> onnx.NodeProto | None:
        node = self.makers.get(name)
        return node if node is not None and node.op_type == op else None

    def _number(self, name: str) -> float | None:
        """A weight of one element."""
        tensor = self.weights.get(name)
        if tensor is None or int(np.prod(tensor.dims)) != 1:
            return None
        return float(weight(tensor, self.folder).reshape(-1)[0])

    def _spelt(self, quotient: onnx.NodeProto) -> Spelt | None:
        centred, root = self._made_by(quotient.input[0], "Sub"), self._made_by(quotient.input[1], "Sqrt")
        if centred is None or root is None or (safe := self._made_by(root.input[0], "Add")) is None:
            return None
        for variance, small in (safe.input, reversed(safe.input)):
            epsilon, mean_of_squares = self._number(small), self._made_by(variance, "ReduceMean")
            if epsilon is None or mean_of_squares is None:
                continue
            square, mean = self.makers.get(mean_of_squares.input[0]), self._made_by(centred.input[1], "ReduceMean")
            if square is None or mean is None or mean.input[0] != centred.input[0]:
                continue
            axis = self._axis(mean)
            if not self._squares(square, centred) or axis is None or axis != self._axis(mean_of_squares):
                continue
            base = self.makers[square.input[0]]
            steps = [mean, centred, base, square, mean_of_squares, safe, root, quotient]
            return self._with_scale(centred.input[0], steps, epsilon, axis)
        return None

    def _squares(self, node: onnx.NodeProto, centred: onnx.NodeProto) -> bool:
        """Whether the node squares a difference that is the same as this one."""
        base = self._made_by(node.input[0], "Sub")
        if base is None or list(base.input) != list(centred.input):
            return False
        if node.op_type == "Mul":
            return bool(node.input[0] == node.input[1])
        return bool(node.op_type == "Pow" and self._number(node.input[1]) == 2)

    def _axis(self, mean: onnx.NodeProto) -> int | None:
        """The first axis that it reduces, from the end, where it reduces all from there on and keeps them."""
        given = attributes(mean)
        axes = given.get("axes")
        if axes is None and len(mean.input) > 1 and mean.input[1] in self.weights:
            axes = weight(self.weights[mean.input[1]], self.folder).reshape(-1).tolist()
        if not axes or not given.get("keepdims", 1):
            return None
        rank = self.ranks.get(mean.input[0])
        if any(axis >= 0 for axis in axes) and rank is None:
            return None
        counted = sorted(axis - rank if axis >= 0 and rank is not None else axis for axis in axes)
        return counted[0] if counted == list(range(counted[0], 0)) else None

    def _with_scale(self, source: str, steps: list[onnx.NodeProto], epsilon: float, axis: int) -> Spelt:
        """As far as its scale and its shift, each alone in reading what is before it."""
        result, names = steps[-1].output[0], {"Mul": "", "Add": ""}
        for op in names:
            following = self.readers.get(result, [])
            if len(following) != 1 or following[0].op_type != op or self._is_output(result):
                break
            other = next((name for name in following[0].input if name != result), "")
            if other not in self.weights or len(self.weights[other].dims) != -axis:
                break
            names[op] = other
            steps.append(following[0])
            result = following[0].output[0]
        found = frozenset(map(name_of, steps))
        return Spelt(source, result, found, epsilon, axis, names["Mul"], names["Add"])

    def _is_output(self, name: str) -> bool:
        return any(output.name == name for output in self.model.graph.output)
