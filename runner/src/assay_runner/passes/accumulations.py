"""Sums inside operators that no tensor shows, from golden's values: how large they become before they are divided.

And what normalisations divide by, their epsilon added: how small that becomes. What a sum comes to is measured; its
partial sums, whose order a kernel chooses, are not.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper

from assay_runner.data.rows import by_sample, is_float
from assay_runner.evidence.ranges import Accumulation, InnerDivisor
from assay_runner.graphs.documents import attributes, opset
from assay_runner.graphs.sample_axes import SampleAxes
from assay_runner.graphs.taps import site
from assay_runner.passes.inner_sums import INNER, Ran, Total
from assay_runner.statistics.blocks import plain
from assay_runner.statistics.ranges import OVERFLOW, UNDERFLOW
from assay_runner.tensors import Arrays, Batch, Site


@dataclass
class _Found:
    divisor: bool
    first: int
    extreme: float
    samples: int = 0


class AccumulationsPass:
    """Measures the inner sums of a graph's operators."""

    def __init__(self, model: onnx.ModelProto, axes: SampleAxes) -> None:
        """The graph whose golden tensors will be shown, and where their samples are."""
        self._axes, self._opset = axes, opset(model)
        self._nodes = [node for node in model.graph.node if node.op_type in INNER and node.domain in ("", "ai.onnx")]
        weights = {tensor.name: tensor for tensor in model.graph.initializer}
        self._attributes = [_attributes(node, weights) for node in self._nodes]
        self._found: list[dict[str, _Found]] = [{} for _ in self._nodes]
        self._summed: set[int] = set()

    def add(self, tensors: Arrays, batch: Batch) -> None:
        """Take golden's tensors and graph inputs of a batch in."""
        for index, node in enumerate(self._nodes):
            given, made = tensors.get(node.input[0]), tensors.get(node.output[0])
            if given is None or made is None or not is_float(made) or not made.size or not given.size:
                continue
            self._summed.add(index)
            ran = Ran(plain(given), plain(made), self._attributes[index], self._opset)
            for total in INNER[node.op_type].totals(ran):
                self._count(index, total, ran, batch)

    @property
    def summed(self) -> int:
        """Operators whose inner sums were measured."""
        return len(self._summed)

    def result(self) -> tuple[Accumulation, ...]:
        """Sums that FP16 would make infinite, in topological order, and in the order in which a node takes them."""
        return tuple(Accumulation(*found, wide) for found, wide in self._all(divisors=False))

    def divisors(self) -> tuple[InnerDivisor, ...]:
        """What is divided by, where FP16 would make it zero, likewise."""
        return tuple(InnerDivisor(*found, wide) for found, wide in self._all(divisors=True))

    def _all(self, *, divisors: bool) -> Iterator[tuple[tuple[Site, str, float, int, int], bool]]:
        for node, given, found in zip(self._nodes, self._attributes, self._found, strict=True):
            wide = INNER[node.op_type].wide(given, self._opset)
            for what, each in found.items():
                if each.divisor is divisors:
                    yield (site(node), what, each.extreme, each.samples, each.first), wide

    def _count(self, index: int, total: Total, ran: Ran, batch: Batch) -> None:
        lost = (total.values > 0) & (total.values <= UNDERFLOW) if total.divisor else total.values >= OVERFLOW
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
        new = _Found(total.divisor, batch.start + int(np.argmax(flags)), np.inf if total.divisor else 0.0)
        found = self._found[index].setdefault(total.what, new)
        found.samples += int(flags.sum())
        values = total.values[lost]
        found.extreme = (
            min(found.extreme, float(values.min())) if total.divisor else max(found.extreme, float(values.max()))
        )


def _attributes(node: onnx.NodeProto, weights: Mapping[str, onnx.TensorProto]) -> dict[str, Any]:
    """Those of the node, and its axes where a weight holds them."""
    found = attributes(node)
    if node.op_type.startswith("Reduce") and len(node.input) > 1 and node.input[1] in weights:
        axes = numpy_helper.to_array(weights[node.input[1]]).reshape(-1).tolist()
        found |= {"axes": axes} if axes else {}
    return found
