"""Which inputs of which nodes are quantised, and why the others are not.

A weight is what no input decides: an initialiser, or what nodes make of initialisers alone, as where an exporter leaves
it behind a Transpose or a Cast. One that the model stores in the format already, behind a DequantizeLinear, stays as it
is.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, Protocol

import numpy as np
import onnx
from onnx import TensorProto

from assay_runner.graphs.constants import makers
from assay_runner.graphs.eight_bit import FORMATS, EightBit
from assay_runner.graphs.operators import MOVES
from assay_runner.graphs.taps import name_of
from assay_runner.tensors import Array

FP8_CHANNELS: Final = 16
FP8_FILTER: Final = 32
FP8_RULE: Final = (
    f"an FP8 convolution takes at least {FP8_CHANNELS} input and output channels, alike modulo {FP8_CHANNELS}, filters "
    f"of at most {FP8_FILTER} values, one group and constant weights"
)

Why = Literal["other types", "weights alone", "pairs"]


class Fixed(Protocol):
    """The constant tensors of a model: its weights, and what nodes make of those alone."""

    @property
    def names(self) -> Collection[str]:
        """All of them."""
        ...

    def stored(self, name: str) -> bool:
        """Whether it is a weight as it is stored; else nodes make it."""
        ...

    def shape(self, name: str) -> tuple[int, ...]:
        """Its shape."""
        ...

    def value(self, name: str) -> Array:
        """Its values."""
        ...


@dataclass(frozen=True)
class Slot:
    """An input of a node that is to be quantised.

    Attributes:
        node: index of the node in the graph.
        place: index of the input.
        tensor: what is quantised.
        weight: whether it is constant.
        axis: its output channels, where it has a scale for each.
    """

    node: int
    place: int
    tensor: str
    weight: bool
    axis: int | None = None


@dataclass
class Chosen:
    """What is to be quantised, and what is not.

    Attributes:
        slots: in the order of the nodes.
        left: nodes for which TensorRT has no FP8 kernel, and why.
        held: nodes left as they are, as asked.
        others: products that are nothing to quantise, by what they are instead.
    """

    slots: list[Slot] = field(default_factory=list)
    left: dict[str, str] = field(default_factory=dict)
    held: list[str] = field(default_factory=list)
    others: dict[str, Why] = field(default_factory=dict)


def choose(
    model: onnx.ModelProto,
    floats: Collection[str],
    kind: EightBit,
    per_channel: bool,
    fixed: Fixed,
    held: Collection[str] = (),
) -> Chosen:
    """What to quantise.

    Args:
        model: constants are initialisers.
        floats: names of FP32 tensors, initialisers among them. No other is quantised.
        kind: the format.
        per_channel: scales per output channel of a weight, where the format has them.
        fixed: its constants.
        held: names of the nodes that are to be left as they are.
    """
    form, chosen, seen = FORMATS[kind], Chosen(), _Stored(model, fixed, kind)
    for index, node in enumerate(model.graph.node):
        if node.domain not in ("", "ai.onnx") or node.op_type not in FORMATS["int8"].operators:
            continue
        operands, name = node.input[:2], name_of(node)
        if why := _not_quantised(operands, floats, seen):
            chosen.others[name] = why
        elif why_not := _no_kernel(node, kind, fixed):
            chosen.left[name] = why_not
        elif name in held:
            chosen.held.append(name)
        else:
            for place, tensor in enumerate(operands):
                weight = tensor in fixed.names
                if weight and seen.in_format(tensor):
                    continue
                axis = _axis(node, place, fixed.shape(tensor)) if weight and per_channel and form.per_channel else None
                chosen.slots.append(Slot(index, place, tensor, weight, axis))
    return chosen


class _Stored:
    """What the model holds in 8 bits itself."""

    def __init__(self, model: onnx.ModelProto, fixed: Fixed, kind: EightBit) -> None:
        self.fixed, self._kind = fixed, kind
        self._makers = makers(model)
        self._types = {tensor.name: tensor.data_type for tensor in model.graph.initializer}

    def activation(self, name: str) -> bool:
        """Whether a tensor comes straight from a pair that quantises an activation."""
        node = self._makers.get(name)
        return node is not None and node.op_type == "DequantizeLinear" and name not in self.fixed.names

    def in_format(self, name: str) -> bool:
        """Whether a constant is dequantised from the format, symmetric, and only moved since."""
        node = self._makers.get(name)
        while node is not None and node.op_type in MOVES:
            node = self._makers.get(node.input[0])
        if node is None or node.op_type != "DequantizeLinear":
            return False
        before = self._makers.get(node.input[0])
        pair = before is not None and before.op_type == "QuantizeLinear"
        wanted = TensorProto.INT8 if self._kind == "int8" else TensorProto.FLOAT8E4M3FN
        zeros = node.input[2] if len(node.input) > 2 else ""
        stored = zeros if pair else node.input[0]
        if self._types.get(stored) != wanted or any(a.name == "block_size" and a.i for a in node.attribute):
            return False
        return not zeros or not np.asarray(self.fixed.value(zeros)).astype(np.float32).any()


def _not_quantised(operands: Collection[str], floats: Collection[str], seen: _Stored) -> Why | None:
    if not set(operands) <= set(floats):
        return "other types"
    if set(operands) <= set(seen.fixed.names):
        return "weights alone"
    return "pairs" if any(map(seen.activation, operands)) else None


def _no_kernel(node: onnx.NodeProto, kind: EightBit, fixed: Fixed) -> str:
    """Why TensorRT has no FP8 kernel for the node; it has one for every product, and for few convolutions."""
    if kind != "fp8" or node.op_type in ("Gemm", "MatMul"):
        return ""
    if node.op_type != "Conv":
        return "TensorRT has no FP8 transposed convolution"
    if node.input[1] not in fixed.names:
        return f"{FP8_RULE}: these are not constant"
    shape, group = fixed.shape(node.input[1]), _attribute(node, "group", 1)
    outputs, inputs = shape[:2]
    if group != 1:
        return f"{FP8_RULE}: this one has {group} groups"
    if min(outputs, inputs) < FP8_CHANNELS or outputs % FP8_CHANNELS != inputs % FP8_CHANNELS:
        return f"{FP8_RULE}: this one has {inputs} and {outputs} channels"
    values = int(np.prod(shape[2:]))
    return f"{FP8_RULE}: this one has {values} values" if values > FP8_FILTER else ""


def _axis(node: onnx.NodeProto, place: int, shape: tuple[int, ...]) -> int | None:
    """Output channels of a weight: what no sum of the product goes over; None where there is no such axis."""
    rank = len(shape)
    if rank < 2:
        return None
    match node.op_type:
        case "Conv":
            return 0 if place == 1 else None
        case "ConvTranspose":
            return 1 if place == 1 and _attribute(node, "group", 1) == 1 else None
        case "Gemm":
            turned = _attribute(node, "transB" if place == 1 else "transA", 0) != 0
            return int(turned != (place == 1))
        case _:
            return rank - 1 if place == 1 else rank - 2


def _attribute(node: onnx.NodeProto, name: str, default: int) -> int:
    return next((int(a.i) for a in node.attribute if a.name == name), default)


def told(left: Mapping[str, str]) -> str:
    """Why nodes have no FP8 kernel, each reason with the first of its nodes."""
    first: dict[str, str] = {}
    for name, why in left.items():
        first.setdefault(why.partition(":")[0], f"{why} ({name})")
    return "; ".join(first.values())
