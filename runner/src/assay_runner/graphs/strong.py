"""The graph of a strongly typed engine: every float tensor in a half type, graph inputs and outputs as before.

TensorRT's builder then has no choice of its own: what is FP16 in the graph is FP16 in the engine. Operators that the
ONNX standard does not have in the type, control flow, and nodes held wider stay in their own type between casts.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final

import onnx
from onnx import TensorProto, helper

from assay_runner.graphs.documents import captured, fresh, opset, rename_uses
from assay_runner.graphs.element_types import FLOAT_TYPES
from assay_runner.graphs.retype import Retyped, retype
from assay_runner.graphs.taps import name_of

HALVES: Final[Mapping[str, int]] = {"fp16": TensorProto.FLOAT16, "bf16": TensorProto.BFLOAT16}
UNREAD: Final = frozenset({"Range"})
"""Operators that ONNX has in half types (Range since opset 27) and TensorRT's parser refuses in them: 10.6 does."""


class Standard:
    """What the newest ONNX standard allows, whether or not ONNX Runtime has a kernel for it.

    The newest, not the model's own: BF16 came to many operators late, and TensorRT's parser takes it in older graphs.
    """

    def __init__(self, version: int | None = None, made: int = TensorProto.UNDEFINED) -> None:
        """Remember what is asked.

        Args:
            version: of the operator set whose word counts, in place of the newest.
            made: element type that operators must have which read no floating point numbers and make some.
        """
        self._version, self._made = version, made

    def has(self, node: onnx.NodeProto, inputs: Mapping[str, int]) -> bool:
        """Whether every input's type is among those the operator takes; of an unknown operator, no."""
        if node.domain not in ("", "ai.onnx") or not onnx.defs.has(node.op_type):
            return False
        if node.op_type in UNREAD and not {*HALVES.values()}.isdisjoint(inputs.values()):
            return False
        version = onnx.defs.onnx_opset_version() if self._version is None else self._version
        schema = onnx.defs.get_schema(node.op_type, version)
        for index, name in enumerate(node.input):
            formal = schema.inputs[min(index, len(schema.inputs) - 1)]
            if name and _spelt(inputs[name]) not in formal.types:
                return False
        if not self._made or any(kind in FLOAT_TYPES for kind in inputs.values()):
            return True
        return any(_spelt(self._made) in formal.types for formal in schema.outputs)


def strong(
    model: onnx.ModelProto,
    kind: str,
    types: Mapping[str, int],
    ranks: Mapping[str, int],
    keep: Collection[str] = (),
    changed: Collection[int] = FLOAT_TYPES,
) -> Retyped:
    """Give the graph a half type in place; `retype.converter` does the same to its weights, `Retyped.wide` aside.

    Args:
        model: weights not converted yet.
        kind: fp16 or bf16.
        types: element type of every tensor of the outer graph, as it is.
        ranks: number of axes, where known.
        keep: names of nodes that stay in their own type.
        changed: element types that become the half type; other floats stay what they are.
    """
    before = {output.name: output.type.tensor_type.elem_type for output in model.graph.output}
    made = retype(model, HALVES[kind], types, ranks, Standard(), keep, changed)
    name = fresh(model)
    for output in model.graph.output:
        if output.type.tensor_type.elem_type != before[output.name]:
            _widened(model, output, before[output.name], name(f"{output.name}__{kind}"))
    return made


def other_half(
    model: onnx.ModelProto, kind: str, types: Mapping[str, int], ranks: Mapping[str, int], nodes: Collection[str]
) -> Retyped:
    """Give some nodes of a graph a half type in place, between casts; all others stay what they are.

    Those that the model's own operator set does not have in it stay in FP32, which is wider: they are there for range.
    Afterwards `strong` gives the others another half type, where types and ranks are looked up anew and FP32 alone
    counts as `changed`. It must keep the casts that this adds: what passes from one half through the other is rounded
    twice, and may become infinite. `joined` then takes FP32 out from between two casts.

    Args:
        model: weights not converted yet: `retype.converter` does so, `Retyped.wide` aside.
        kind: fp16 or bf16.
        types: element type of every tensor of the outer graph, as it is.
        ranks: number of axes, where known.
        nodes: names of the nodes.
    """
    before = {output.name: output.type.tensor_type.elem_type for output in model.graph.output}
    others = {name_of(node) for node in model.graph.node} - set(nodes)
    copies = _own_weights(model, nodes)
    types = {**types, **{copies[name]: types[name] for name in copies}}
    made = retype(model, HALVES[kind], types, ranks, Standard(opset(model), HALVES[kind]), others)
    name = fresh(model)
    for output in model.graph.output:
        if output.type.tensor_type.elem_type != before[output.name]:
            _widened(model, output, before[output.name], name(f"{output.name}__{kind}"))
    _without_idle_casts(model)
    return made


def joined(model: onnx.ModelProto, own: Collection[str]) -> None:
    """Let casts to a half read what a cast widens in front of them: the same numbers, and one cast in place of two.

    Args:
        model: in whose graph `retype` has put casts, each from or to a half type.
        own: names of the casts that were there before.
    """
    added = [node for node in model.graph.node if node.op_type == "Cast" and name_of(node) not in own]
    widened = {node.output[0]: node.input[0] for node in added if node.attribute[0].i == TensorProto.FLOAT}
    for node in added:
        node.input[0] = widened.get(node.input[0], node.input[0])
    _without_idle_casts(model)


def followed_types(
    model: onnx.ModelProto, before: Mapping[str, int], nodes: Collection[str], kind: int
) -> dict[str, int]:
    """Element types once `other_half` has given nodes this one: casts say theirs, other nodes make what they made."""
    types = {**before, **{tensor.name: tensor.data_type for tensor in model.graph.initializer}}
    for node in model.graph.node:
        if node.op_type == "Cast":
            types[node.output[0]] = next(attribute.i for attribute in node.attribute if attribute.name == "to")
        elif name_of(node) in nodes:
            # What has no such type in ONNX makes what it did, under another name, which a cast then reads.
            types |= {name: kind for name in node.output if before.get(name) in FLOAT_TYPES}
            types |= {name: TensorProto.FLOAT for name in node.output if name and name not in before}
    return types


def _own_weights(model: onnx.ModelProto, nodes: Collection[str]) -> dict[str, str]:
    """Give nodes weights of their own in place of those that others read too; what each is called now."""
    weights = {tensor.name: tensor for tensor in model.graph.initializer}
    chosen = [node for node in model.graph.node if name_of(node) in nodes]
    others = [node for node in model.graph.node if name_of(node) not in nodes]
    read = {name for node in others for name in (*node.input, *captured(node))}
    read |= {output.name for output in model.graph.output}
    name = fresh(model)
    copies = {each: name(f"{each}__half") for node in chosen for each in node.input if each in weights and each in read}
    for each, copy in copies.items():
        model.graph.initializer.add().CopyFrom(weights[each])
        model.graph.initializer[-1].name = copy
    for node in chosen:
        rename_uses(node, copies)
    return copies


def _without_idle_casts(model: onnx.ModelProto) -> None:
    """Take casts out that nothing reads: of graph inputs that no chosen node reads."""
    read = {name for node in model.graph.node for name in (*node.input, *captured(node))}
    read |= {output.name for output in model.graph.output}
    left = [node for node in model.graph.node if node.op_type != "Cast" or not read.isdisjoint(node.output)]
    del model.graph.node[:]
    model.graph.node.extend(left)


def wide_nodes(model: onnx.ModelProto, kind: str = "fp16") -> frozenset[str]:
    """Names of the nodes of such a graph that compute in a wider range than its half type: they read it; casts make it.

    Wider than BF16 are FP32 and FP64, wider than FP16 is BF16 too.
    Types are followed through the graph: a cast says its own, any other node makes what it reads first.
    """
    wide = {TensorProto.FLOAT, TensorProto.DOUBLE} | ({TensorProto.BFLOAT16} if kind == "fp16" else set())
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
    for weight in model.graph.initializer:
        if weight.name == output.name:
            weight.name = inner
    model.graph.node.append(helper.make_node("Cast", [inner], [output.name], name=f"{inner}_cast", to=kind))
    output.type.tensor_type.elem_type = kind


def _spelt(kind: int) -> str:
    return f"tensor({helper.tensor_dtype_to_string(kind).removeprefix('TensorProto.').lower()})"
