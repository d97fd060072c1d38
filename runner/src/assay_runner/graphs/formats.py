"""Which format each node of an emulated graph computes in, and so which one each weight and tensor is in.

A node reads in its own format and gives out in it; the others are the candidate's. TF32 is no format of a tensor: its
products read their operands in it, and give out FP32.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import onnx
from onnx import TensorProto

from assay_runner.graphs.documents import captured, subgraphs
from assay_runner.graphs.operators import PRODUCTS
from assay_runner.graphs.shapes import shape_tensors
from assay_runner.graphs.taps import name_of

FP32 = "fp32"
HALVES = frozenset({"fp16", "bf16"})


@dataclass(frozen=True)
class Formats:
    """Formats by name: fp32, tf32, fp16 or bf16.

    Attributes:
        base: the candidate's.
        held: by node, where it is another one.
    """

    base: str
    held: Mapping[str, str] = field(default_factory=dict)

    def of(self, node: onnx.NodeProto) -> str:
        """What a node of the outer graph computes in; what holds control flow is as all of the candidate."""
        if not self.held:
            return self.base
        return self.base if any(subgraphs(node)) else self.held.get(name_of(node), self.base)

    def wider(self, model: onnx.ModelProto) -> frozenset[str]:
        """Nodes of a half candidate that compute in a format of wider range."""
        if self.base not in HALVES:
            return frozenset()
        wide = {FP32, "bf16"} - {self.base}
        return frozenset(name_of(node) for node in model.graph.node if self.of(node) in wide)

    def read(self, node: onnx.NodeProto, position: int) -> str:
        """What a node reads an input in; -1 is what its subgraphs capture."""
        own = self.of(node)
        return own if own in HALVES or (own == "tf32" and is_operand(node, position)) else FP32

    def weights(self, model: onnx.ModelProto) -> dict[str, str]:
        """The format of every float initialiser of the outer graph that is rounded before the model is saved.

        That is the one in which all read it. Where they read it in several, it is stored in the candidate's half, or as
        it is, and rounded where it is read.
        """
        own = self.base if self.base in HALVES else FP32
        found: dict[str, set[str]] = {}
        for node in model.graph.node:
            for position, name in (*enumerate(node.input), *((-1, name) for name in captured(node))):
                found.setdefault(name, set()).add(self.read(node, position))
        for output in model.graph.output:
            found.setdefault(output.name, set()).add(own)
        floats = {t.name for t in model.graph.initializer if t.data_type == TensorProto.FLOAT}
        if self.base in HALVES or not HALVES.isdisjoint(self.held.values()):
            floats -= shape_tensors(model.graph)
        formats = {name: found.get(name, {own}) for name in floats}
        stored = {name: next(iter(read)) if len(read) == 1 else own for name, read in formats.items()}
        return {name: kind for name, kind in stored.items() if kind != FP32}


def is_operand(node: onnx.NodeProto, position: int) -> bool:
    """Whether tensor cores read this input as TF32."""
    return position in PRODUCTS.get(node.op_type, ()) and node.domain in ("", "ai.onnx")
