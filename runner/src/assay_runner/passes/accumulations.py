"""Sums inside operators that no tensor shows, from golden's values: how large they become before they are divided.

And what normalisations divide by, their epsilon added, or are folded into: how small that becomes. What a sum comes to
is measured; its partial sums, whose order a kernel chooses, are not.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from assay_runner.data.rows import by_sample, is_float
from assay_runner.evidence.ranges import Accumulation, InnerDivisor
from assay_runner.graphs.control_flow import containing
from assay_runner.graphs.documents import attributes, opset
from assay_runner.graphs.sample_axes import SampleAxes
from assay_runner.graphs.taps import site
from assay_runner.graphs.weights import weight
from assay_runner.passes.fused_sums import SUMMING, UNBOUNDED
from assay_runner.passes.totals import Operator, Ran, Total
from assay_runner.statistics.blocks import plain
from assay_runner.statistics.ranges import OVERFLOW, UNDERFLOW
from assay_runner.tensors import Array, Arrays, Batch, Site


@dataclass
class _Found:
    total: Total
    first: int
    extreme: float
    samples: int = 0


class AccumulationsPass:
    """Measures the inner sums of a graph's operators.

    Attributes:
        unmeasured: nodes of control flow inside which there are such operators: what is summed there is not measured.
    """

    def __init__(self, model: onnx.ModelProto, axes: SampleAxes, folder: Path) -> None:
        """The graph whose golden tensors will be shown, where their samples are, and where its external weights lie."""
        self._axes, self._opset, self._folder = axes, opset(model), folder
        self._nodes = [node for node in model.graph.node if node.op_type in SUMMING.get(node.domain, {})]
        self._weights = {tensor.name: tensor for tensor in model.graph.initializer}
        self._read: dict[str, Array] = {}
        self._attributes = [_attributes(node, self._weights, folder) for node in self._nodes]
        self._found: list[dict[tuple[str, str], _Found]] = [{} for _ in self._nodes]
        self._summed: set[int] = set()
        self.unmeasured: tuple[Site, ...] = containing(model, UNBOUNDED)

    def add(self, tensors: Arrays, batch: Batch) -> None:
        """Take golden's tensors and graph inputs of a batch in."""
        for index, node in enumerate(self._nodes):
            operator, made = _operator(node), tensors.get(node.output[0])
            if made is None or not is_float(made) or not made.size:
                continue
            inputs = tuple(self._input(name, tensors) for name in node.input[: operator.reads])
            if inputs[0] is None or not inputs[0].size:
                continue
            self._summed.add(index)
            ran = Ran(inputs, plain(made), self._attributes[index], self._opset)
            for total in operator.totals(ran):
                self._count(index, total, ran, batch)

    def _input(self, name: str, tensors: Arrays) -> Array | None:
        """What a node was given, or a weight, of which those that are asked for are kept."""
        if name in tensors:
            return plain(tensors[name])
        if name in self._weights and name not in self._read:
            self._read[name] = weight(self._weights[name], self._folder)
        return self._read.get(name)

    @property
    def summed(self) -> int:
        """Operators whose inner sums were measured."""
        return len(self._summed)

    def result(self) -> tuple[Accumulation, ...]:
        """Sums that FP16 would make infinite, in topological order, and in the order in which a node takes them."""
        return tuple(Accumulation(*found, wide) for harm, found, wide in self._all() if harm == "infinity")

    def divisors(self) -> tuple[InnerDivisor, ...]:
        """What is divided or multiplied by, where FP16 would make it zero, likewise."""
        return tuple(
            InnerDivisor(*found, wide, harm == "zero factor") for harm, found, wide in self._all() if harm != "infinity"
        )

    def _all(self) -> Iterator[tuple[str, tuple[Site, str, float, int, int], bool]]:
        for node, given, found in zip(self._nodes, self._attributes, self._found, strict=True):
            wide = _operator(node).wide(given, self._opset)
            for each in found.values():
                total = each.total
                yield total.harm, (site(node), total.what, each.extreme, each.samples, each.first), wide

    def _count(self, index: int, total: Total, ran: Ran, batch: Batch) -> None:
        large = total.harm == "infinity"
        lost = total.values >= OVERFLOW if large else (total.values > 0) & (total.values <= UNDERFLOW)
        lost &= np.isfinite(total.values)
        if not lost.any():
            return
        node = self._nodes[index]
        name, array = (node.input[0], ran.given) if total.along == "given" else (node.output[0], ran.made)
        axis = self._axes.of(name, array.shape, batch.fed)
        if axis is not None and (axis >= lost.ndim or lost.shape[axis] != batch.fed):
            axis = None
        flags = by_sample(lost, axis, batch.fed)[: batch.count]
        if not flags.any():
            return
        new = _Found(total, batch.start + int(np.argmax(flags)), 0.0 if large else np.inf)
        found = self._found[index].setdefault((total.what, total.harm), new)
        found.samples += int(flags.sum())
        values = total.values[lost]
        found.extreme = max(found.extreme, float(values.max())) if large else min(found.extreme, float(values.min()))


def _operator(node: onnx.NodeProto) -> Operator:
    return SUMMING[node.domain][node.op_type]


def _attributes(node: onnx.NodeProto, weights: Mapping[str, onnx.TensorProto], folder: Path) -> dict[str, Any]:
    """Those of the node, and its axes where a weight holds them."""
    found = attributes(node)
    if node.op_type.startswith("Reduce") and len(node.input) > 1 and node.input[1] in weights:
        axes = weight(weights[node.input[1]], folder).reshape(-1).tolist()
        found |= {"axes": axes} if axes else {}
    return found
