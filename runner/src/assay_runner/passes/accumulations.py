"""Sums inside operators that no tensor shows, from golden's values: how large they become before they are divided.

What a sum comes to is measured; its partial sums, whose order a kernel chooses, are not. Products (MatMul, Gemm, Conv)
and plain sums show their total as their result, so nothing is left to measure there.

- ReduceMean, GlobalAveragePool, AveragePool: result times the number of elements.
- ReduceL2: result squared.
- Softmax, LogSoftmax: the sum of exp(x - max x) is 1 over the largest result.
- InstanceNormalization, LayerNormalization, GroupNormalization: the sum of squared deviations.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
import onnx
from onnx import helper

from assay_runner.evidence import Site
from assay_runner.graphs.sample_axes import SampleAxes
from assay_runner.passes.rows import by_sample, is_float
from assay_runner.range_evidence import Accumulation
from assay_runner.statistics.blocks import plain
from assay_runner.tensors import Array, Arrays, Batch

LARGEST = 65504.0
Attributes = Mapping[str, Any]
Total = Callable[[Array, Array, Attributes], Array]


def _mean(given: Array, made: Array, attributes: Attributes) -> Array:
    return np.abs(made) * (given.size / max(1, made.size))


def _pooled(given: Array, made: Array, attributes: Attributes) -> Array:
    return np.abs(made) * float(np.prod(attributes.get("kernel_shape", (1,))))


def _norm(given: Array, made: Array, attributes: Attributes) -> Array:
    return np.square(made, dtype=np.float64)


def _softmax(given: Array, made: Array, attributes: Attributes) -> Array:
    with np.errstate(divide="ignore"):
        return np.asarray(1 / made.max(axis=attributes.get("axis", -1), keepdims=True).astype(np.float64))


def _log_softmax(given: Array, made: Array, attributes: Attributes) -> Array:
    return np.asarray(np.exp(-made.max(axis=attributes.get("axis", -1), keepdims=True).astype(np.float64)))


def _deviations(given: Array, made: Array, attributes: Attributes) -> Array:
    axis = attributes.get("axis", -1) % given.ndim
    return _squares(given.reshape(*given.shape[:axis], -1))


def _instances(given: Array, made: Array, attributes: Attributes) -> Array:
    return _squares(given.reshape(*given.shape[:2], -1))


def _groups(given: Array, made: Array, attributes: Attributes) -> Array:
    return _squares(given.reshape(len(given), attributes["num_groups"], -1))


def _squares(rows: Array) -> Array:
    return np.asarray(rows.var(axis=-1, dtype=np.float64) * rows.shape[-1])


@dataclass(frozen=True)
class _Inner:
    what: str
    total: Total
    wide: bool = False


INNER: Mapping[str, _Inner] = MappingProxyType(
    {
        "ReduceMean": _Inner("the sum before the division", _mean),
        "GlobalAveragePool": _Inner("the sum before the division", _mean),
        "AveragePool": _Inner("the sum before the division", _pooled),
        "ReduceL2": _Inner("the sum of squares before the root", _norm),
        "Softmax": _Inner("the sum of exponentials", _softmax),
        "LogSoftmax": _Inner("the sum of exponentials", _log_softmax),
        "InstanceNormalization": _Inner("the sum of squared deviations", _instances),
        # ONNX lets these two sum in FP32 unless their stash_type says otherwise.
        "LayerNormalization": _Inner("the sum of squared deviations", _deviations, wide=True),
        "GroupNormalization": _Inner("the sum of squared deviations", _groups, wide=True),
    }
)


@dataclass
class _Found:
    largest: float = 0.0
    samples: int = 0
    first: int = -1


class AccumulationsPass:
    """Measures the inner sums of a graph's operators."""

    def __init__(self, model: onnx.ModelProto, axes: SampleAxes) -> None:
        """The graph whose golden tensors will be shown, and where their samples are."""
        self._axes = axes
        self._nodes = [node for node in model.graph.node if node.op_type in INNER and node.domain in ("", "ai.onnx")]
        self._attributes = [{a.name: helper.get_attribute_value(a) for a in node.attribute} for node in self._nodes]
        self._found: dict[int, _Found] = {}
        self._summed: set[int] = set()

    def add(self, tensors: Arrays, batch: Batch) -> None:
        """Take golden's tensors and graph inputs of a batch in."""
        for index, node in enumerate(self._nodes):
            given, made = tensors.get(node.input[0]), tensors.get(node.output[0])
            if given is None or made is None or not is_float(made) or not made.size:
                continue
            self._summed.add(index)
            totals = INNER[node.op_type].total(plain(given), plain(made), self._attributes[index])
            self._count(index, totals, made, batch)

    @property
    def summed(self) -> int:
        """Operators whose inner sums were measured."""
        return len(self._summed)

    def result(self) -> tuple[Accumulation, ...]:
        """Sums that exceed FP16's largest number, in topological order."""
        return tuple(
            Accumulation(_site(node), inner.what, found.largest, found.samples, found.first, self._wide(index))
            for index, node in enumerate(self._nodes)
            if (found := self._found.get(index)) and (inner := INNER[node.op_type])
        )

    def _wide(self, index: int) -> bool:
        return INNER[self._nodes[index].op_type].wide and self._attributes[index].get("stash_type", 1) == 1

    def _count(self, index: int, totals: Array, made: Array, batch: Batch) -> None:
        beyond = np.isfinite(totals) & (totals > LARGEST)
        if not beyond.any():
            return
        axis = self._axes.of(self._nodes[index].output[0], made.shape, batch.fed)
        if axis is not None and (axis >= totals.ndim or totals.shape[axis] != batch.fed):
            axis = None
        flags = by_sample(beyond, axis, batch.fed)[: batch.count]
        if not flags.any():
            return
        found = self._found.setdefault(index, _Found(first=batch.start + int(np.argmax(flags))))
        found.samples += int(flags.sum())
        found.largest = max(found.largest, float(totals[beyond].max()))


def _site(node: onnx.NodeProto) -> Site:
    return Site(node.output[0], node.name or f"{node.op_type}:{node.output[0]}", node.op_type)
