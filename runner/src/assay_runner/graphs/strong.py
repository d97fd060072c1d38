"""The graph of a strongly typed engine: every float tensor in a half type, graph inputs and outputs as before.

TensorRT's builder then has no choice of its own: what is FP16 in the graph is FP16 in the engine. Operators that the
ONNX standard does not have in the type, control flow, and nodes held wider stay in their own type between casts.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final

import onnx
from onnx import TensorProto, helper

from assay_runner.graphs.documents import fresh, rename_uses
from assay_runner.graphs.element_types import FLOAT_TYPES
from assay_runner.graphs.retype import Retyped, retype

HALVES: Final[Mapping[str, int]] = {"fp16": TensorProto.FLOAT16, "bf16": TensorProto.BFLOAT16}


class Standard:
    """What the newest ONNX standard allows, whether or not ONNX Runtime has a kernel for it.

    The newest, not the model's own: BF16 came to many operators late, and TensorRT's parser takes it in older graphs.
    """

    def has(self, node: onnx.NodeProto, inputs: Mapping[str, int]) -> bool:
        """Whether every input's type is among those the operator takes; of an unknown operator, no."""
        if node.domain not in ("", "ai.onnx") or not onnx.defs.has(node.op_type):
            return False
        schema = onnx.defs.get_schema(node.op_type)
        for index, name in enumerate(node.input):
            formal = schema.inputs[min(index, len(schema.inputs) - 1)]
            if name and _spelt(inputs[name]) not in formal.types:
                return False
        return True


def strong(
    model: onnx.ModelProto, kind: str, types: Mapping[str, int], ranks: Mapping[str, int], keep: Collection[str] = ()
) -> Retyped:
    """Give the graph a half type in place; `retype.converter` does the same to its weights, `Retyped.wide` aside.

    Args:
        model: weights not converted yet.
        kind: fp16 or bf16.
        types: element type of every tensor of the outer graph, as it is.
        ranks: number of axes, where known.
        keep: names of nodes that stay in their own type.
    """
    before = {output.name: output.type.tensor_type.elem_type for output in model.graph.output}
    made = retype(model, HALVES[kind], types, ranks, Standard(), keep)
    name = fresh(model)
    for output in model.graph.output:
        if output.type.tensor_type.elem_type != before[output.name]:
            _widened(model, output, before[output.name], name(f"{output.name}__{kind}"))
    return made


def wide_nodes(model: onnx.ModelProto) -> frozenset[str]:
    """Names of the nodes of such a graph that compute in FP32 or FP64: they read a tensor of the type; casts make one.

    Types are followed through the graph: a cast says its own, any other node makes what it reads first.
    """
    wide = {TensorProto.FLOAT, TensorProto.DOUBLE}
    types = {tensor.name: tensor.data_type for tensor in model.graph.initializer}
    types |= {given.name: given.type.tensor_type.elem_type for given in model.graph.input}
    found = set()
    for node in model.graph.node:
        read = [types[name] for name in node.input if types.get(name) in FLOAT_TYPES]
        if node.op_type == "Cast":
            made = next(attribute.i for attribute in node.attribute if attribute.name == "to")
        else:
            made = read[0] if read else TensorProto.UNDEFINED
        if not wide.isdisjoint([made] if node.op_type == "Cast" else read):
            found.add(node.name)
        types |= dict.fromkeys(node.output, made)
    return frozenset(found)


def _widened(model: onnx.ModelProto, output: onnx.ValueInfoProto, kind: int, inner: str) -> None:
    """Let the output have its old type: a cast makes it of what made it before."""
    for node in model.graph.node:
        rename_uses(node, {output.name: inner})
        for index, made in enumerate(node.output):
            if made == output.name:
                node.output[index] = inner
    model.graph.node.append(helper.make_node("Cast", [inner], [output.name], name=f"{inner}_cast", to=kind))
    output.type.tensor_type.elem_type = kind


def _spelt(kind: int) -> str:
    return f"tensor({helper.tensor_dtype_to_string(kind).removeprefix('TensorProto.').lower()})"
