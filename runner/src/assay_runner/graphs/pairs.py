"""Q/DQ pairs in a graph, placed and shaped so that TensorRT's parser and builder take them as they are.

TensorRT's choices: pairs in front of the inputs of convolutions and products only; symmetric, zero points written out
(without one, ONNX means uint8) and all 0; scales FP32 and positive; activations per tensor; weights stored in 8 bits
behind a DequantizeLinear, per output channel where the format allows it; biases left alone. No pair is shared: each
input has its own, as exporters of quantisation-aware training write them, so that every one can be fused into its user.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from assay_runner.errors import CannotBuild
from assay_runner.graphs.constants import drop_dead
from assay_runner.graphs.documents import fresh
from assay_runner.graphs.eight_bit import FORMATS, EightBit, Format
from assay_runner.graphs.slots import Fixed, Slot
from assay_runner.graphs.weights import Convert
from assay_runner.tensors import Array

MANY: Final = 1 << 16
"""Elements of a large weight."""


def insert(
    model: onnx.ModelProto,
    chosen: Iterable[Slot],
    ranges: Mapping[str, float],
    kind: EightBit,
    fixed: Fixed,
    zeros: bool = True,
) -> Convert:
    """Put a pair in front of every slot, in place; returns what `localise` has to make of the weights.

    Args:
        model: its operator set knows the format.
        chosen: as `slots` finds them.
        ranges: largest magnitude of each activation.
        kind: the format.
        fixed: the constants of the model as it was.
        zeros: whether the zero points of large weights are written out, as of all others: ONNX Runtime takes four
            times as long to read a weight per channel with them.

    Raises:
        CannotBuild: a weight is not finite.
    """
    writer = _Writer(model, FORMATS[kind], fixed, zeros)
    by_node: dict[int, list[Slot]] = {}
    for slot in chosen:
        by_node.setdefault(slot.node, []).append(slot)
    nodes: list[onnx.NodeProto] = []
    for index, node in enumerate(model.graph.node):
        for slot in by_node.get(index, ()):
            made = writer.weight(slot) if slot.weight else writer.activation(slot, ranges[slot.tensor])
            nodes.extend(made)
            node.input[slot.place] = made[-1].output[0]
        nodes.append(node)
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    writer.drop_unused()
    model.ir_version = max(model.ir_version, helper.find_min_ir_version_for(model.opset_import, ignore_unknown=True))
    return writer.convert


@dataclass
class _Writer:
    model: onnx.ModelProto
    form: Format
    fixed: Fixed
    zeros: bool
    scales: dict[str, Array] = field(default_factory=dict)
    behind: dict[str, str] = field(default_factory=dict)
    stored: dict[tuple[str, int | None], tuple[str, str, str]] = field(default_factory=dict)
    known: dict[str, tuple[str, str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.name = fresh(self.model)
        self.weights = {tensor.name: tensor for tensor in self.model.graph.initializer}

    def activation(self, slot: Slot, peak: float) -> list[onnx.NodeProto]:
        if slot.tensor not in self.known:
            self.known[slot.tensor] = self._parameters(slot.tensor, self.form.scale(peak))
        scale, zero = self.known[slot.tensor]
        quantised = self.name(f"{slot.tensor}__quantised")
        node = helper.make_node("QuantizeLinear", [slot.tensor, scale, zero], [quantised], name=quantised)
        return [node, self._dequantise(slot, quantised, scale, zero)]

    def weight(self, slot: Slot) -> list[onnx.NodeProto]:
        key = (slot.tensor, slot.axis)
        if key not in self.stored:
            peak = _peak(slot, self.fixed.value(slot.tensor), self.form)
            scale = self.form.scale(peak)
            name = self.name(f"{slot.tensor}__quantised")
            self.stored[key] = (name, *self._parameters(name, scale))
            # Its values follow when the weights are moved, one by one: see `convert`.
            if self.fixed.stored(slot.tensor):
                self.model.graph.initializer.add().CopyFrom(self.weights[slot.tensor])
            else:
                self.model.graph.initializer.append(helper.make_tensor(name, TensorProto.FLOAT, [0], []))
                self.behind[name] = slot.tensor
            self.model.graph.initializer[-1].name = name
            rank = len(self.fixed.shape(slot.tensor))
            shape = [-1 if axis == slot.axis else 1 for axis in range(rank)]
            self.scales[name] = scale if slot.axis is None else scale.reshape(shape)
        stored, step, zero = self.stored[key]
        written = self.zeros or math.prod(self.fixed.shape(slot.tensor)) < MANY
        return [self._dequantise(slot, stored, step, zero if written else "")]

    def convert(self, name: str, array: Array) -> Array:
        if name not in self.scales:
            return array
        values = self.fixed.value(self.behind[name]) if name in self.behind else array
        return self.form.quantised(values, self.scales[name])

    def drop_unused(self) -> None:
        used = drop_dead(self.model, self.fixed.names, {output.name for output in self.model.graph.output})
        kept = [tensor for tensor in self.model.graph.initializer if tensor.name in used]
        del self.model.graph.initializer[:]
        self.model.graph.initializer.extend(kept)

    def _dequantise(self, slot: Slot, quantised: str, scale: str, zero: str) -> onnx.NodeProto:
        made = self.name(f"{slot.tensor}__dequantised")
        inputs = [quantised, scale, *([zero] if zero else [])]
        node = helper.make_node("DequantizeLinear", inputs, [made], name=made)
        if slot.axis is not None:
            node.attribute.append(helper.make_attribute("axis", slot.axis))
        return node

    def _parameters(self, tensor: str, scale: NDArray[np.float32]) -> tuple[str, str]:
        names = self.name(f"{tensor}__scale"), self.name(f"{tensor}__zero")
        zero = np.zeros(scale.shape, self.form.dtype)
        for name, array in zip(names, (scale, zero), strict=True):
            self.model.graph.initializer.append(numpy_helper.from_array(array, name))
        return names


def _peak(slot: Slot, array: Array, form: Format) -> Array:
    others = None if slot.axis is None else tuple(axis for axis in range(array.ndim) if axis != slot.axis)
    peak = np.maximum(array.max(axis=others, initial=0), -array.min(axis=others, initial=0))
    if not np.isfinite(peak).all():
        raise CannotBuild(f"weight {slot.tensor!r} holds values that are not finite: it has no {form.label} range")
    return np.asarray(peak)
