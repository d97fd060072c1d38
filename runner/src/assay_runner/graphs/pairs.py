"""Q/DQ pairs in a graph, placed and shaped so that TensorRT's parser and builder take them as they are.

TensorRT's choices: pairs in front of the inputs of convolutions and products only; symmetric, zero points written out
(without one, ONNX means uint8) and all 0; scales FP32 and positive; activations per tensor; weights stored in 8 bits
behind a DequantizeLinear, per output channel where the format allows it; biases left alone. No pair is shared: each
input has its own, as exporters of quantisation-aware training write them, so that every one can be fused into its user.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from assay_runner.errors import InvalidInput
from assay_runner.graphs.documents import Convert, captured, fresh, weight
from assay_runner.graphs.eight_bit import FORMATS, EightBit, Format
from assay_runner.graphs.taps import name_of
from assay_runner.tensors import Array

# TensorRT's FP8 convolutions: channels from 16, alike modulo 16, filters of at most 32 values, one group.
FP8_CHANNELS = 16
FP8_FILTER = 32


@dataclass(frozen=True)
class Slot:
    """An input of a node that is to be quantised.

    Attributes:
        node: index of the node in the graph.
        place: index of the input.
        tensor: what is quantised.
        weight: whether it is an initialiser.
        axis: its output channels, where it has a scale for each.
    """

    node: int
    place: int
    tensor: str
    weight: bool
    axis: int | None = None


def slots(
    model: onnx.ModelProto, floats: Collection[str], kind: EightBit, per_channel: bool, held: Collection[str] = ()
) -> tuple[tuple[Slot, ...], tuple[str, ...], tuple[str, ...]]:
    """What to quantise, in the order of the nodes; products left in floating point for want of an FP8 kernel; and held.

    Args:
        model: constants are initialisers.
        floats: names of FP32 tensors, initialisers among them. No other is quantised.
        kind: the format.
        per_channel: scales per output channel of a weight, where the format has them.
        held: names of the nodes that are to be left as they are.
    """
    form = FORMATS[kind]
    weights = {tensor.name: tensor for tensor in model.graph.initializer}
    dequantised = {o for node in model.graph.node if node.op_type == "DequantizeLinear" for o in node.output}
    found: list[Slot] = []
    left: list[str] = []
    kept: list[str] = []
    for index, node in enumerate(model.graph.node):
        if node.domain not in ("", "ai.onnx") or node.op_type not in FORMATS["int8"].operators:
            continue
        operands = node.input[:2]
        if not set(operands) <= set(floats) or set(operands) <= weights.keys() or set(operands) & dequantised:
            continue
        if node.op_type not in form.operators or (kind == "fp8" and not _fp8(node, weights.get(operands[1]))):
            left.append(name_of(node))
            continue
        if name_of(node) in held:
            kept.append(name_of(node))
            continue
        for place, name in enumerate(operands):
            axis = _axis(node, place, weights[name]) if name in weights and per_channel and form.per_channel else None
            found.append(Slot(index, place, name, name in weights, axis))
    return tuple(found), tuple(left), tuple(kept)


def insert(
    model: onnx.ModelProto, chosen: Iterable[Slot], ranges: Mapping[str, float], kind: EightBit, source: Path
) -> Convert:
    """Put a pair in front of every slot, in place; returns what `localise` has to make of the weights.

    Args:
        model: its operator set knows the format.
        chosen: as `slots` finds them.
        ranges: largest magnitude of each activation.
        kind: the format.
        source: folder of the model's external data.

    Raises:
        InvalidInput: a weight is not finite.
    """
    writer = _Writer(model, FORMATS[kind], source)
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


def _fp8(node: onnx.NodeProto, kernel: onnx.TensorProto | None) -> bool:
    """Whether TensorRT has an FP8 kernel for the node; it has one for every product, and for few convolutions."""
    if node.op_type != "Conv":
        return True
    if kernel is None or _attribute(node, "group", 1) != 1:
        return False
    outputs, inputs = kernel.dims[:2]
    alike = outputs % FP8_CHANNELS == inputs % FP8_CHANNELS
    return bool(alike and min(outputs, inputs) >= FP8_CHANNELS and np.prod(kernel.dims[2:]) <= FP8_FILTER)


def _axis(node: onnx.NodeProto, place: int, tensor: onnx.TensorProto) -> int | None:
    """Output channels of a weight; None where it has none of its own."""
    rank = len(tensor.dims)
    if place != 1 or rank < 2:
        return None
    match node.op_type:
        case "Conv":
            return 0
        case "ConvTranspose":
            return 1 if _attribute(node, "group", 1) == 1 else None
        case "Gemm":
            return 0 if _attribute(node, "transB", 0) else 1
        case _:
            return 1 if rank == 2 else None


def _attribute(node: onnx.NodeProto, name: str, default: int) -> int:
    return next((int(a.i) for a in node.attribute if a.name == name), default)


@dataclass
class _Writer:
    model: onnx.ModelProto
    form: Format
    source: Path
    scales: dict[str, Array] = field(default_factory=dict)
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
            peak = _peak(slot, weight(self.weights[slot.tensor], self.source), self.form)
            scale = self.form.scale(peak)
            name = self.name(f"{slot.tensor}__quantised")
            self.stored[key] = (name, *self._parameters(name, scale))
            # Its values follow when the weights are moved, one by one: see `convert`.
            self.model.graph.initializer.add().CopyFrom(self.weights[slot.tensor])
            self.model.graph.initializer[-1].name = name
            rank = len(self.weights[slot.tensor].dims)
            shape = [-1 if axis == slot.axis else 1 for axis in range(rank)]
            self.scales[name] = scale if slot.axis is None else scale.reshape(shape)
        return [self._dequantise(slot, *self.stored[key])]

    def convert(self, name: str, array: Array) -> Array:
        return self.form.quantised(array, self.scales[name]) if name in self.scales else array

    def drop_unused(self) -> None:
        used = {name for node in self.model.graph.node for name in (*node.input, *captured(node))}
        used |= {output.name for output in self.model.graph.output}
        kept = [tensor for tensor in self.model.graph.initializer if tensor.name in used]
        del self.model.graph.initializer[:]
        self.model.graph.initializer.extend(kept)

    def _dequantise(self, slot: Slot, quantised: str, scale: str, zero: str) -> onnx.NodeProto:
        made = self.name(f"{slot.tensor}__dequantised")
        node = helper.make_node("DequantizeLinear", [quantised, scale, zero], [made], name=made)
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
        raise InvalidInput(f"weight {slot.tensor!r} holds values that are not finite: it has no {form.label} range")
    return np.asarray(peak)
