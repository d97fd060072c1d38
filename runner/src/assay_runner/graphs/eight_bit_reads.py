"""Nodes that read activations of 8 bits: behind a Q/DQ pair in the graph, or with an 8-bit input in an engine's layer.

A LayerNormalization spelt out (ReduceMean, Sub, Pow, ReduceMean, Add, Sqrt, Div) is known by a mean that is subtracted
from what it is the mean of, with a root after it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import onnx
from onnx import TensorProto

from assay_runner.eight_bit_evidence import EightBitRead
from assay_runner.evidence import EngineLayer, Site
from assay_runner.graphs.operators import MOVES, PRODUCTS
from assay_runner.graphs.taps import site

Q, DQ = "QuantizeLinear", "DequantizeLinear"
LAYER_NORM = "LayerNormalization"
CHAIN = frozenset({"Pow", "Mul", "ReduceMean", "Add", "Cast", Q, DQ})
ENDS = frozenset({"Sqrt", "Div"})
LONGEST = 12
NARROW = ("INT8", "FP8", "E4M3")
FP8 = (TensorProto.FLOAT8E4M3FN, TensorProto.FLOAT8E5M2)


def graph_reads(model: onnx.ModelProto) -> tuple[EightBitRead, ...]:
    """Nodes of the outer graph that read a dequantised activation, directly or through nodes that only move it."""
    makers = {output: node for node in model.graph.node for output in node.output}
    formats = _formats(model)
    norms = _layer_norms(model, makers)
    found = []
    for node in model.graph.node:
        if node.op_type in (Q, DQ) or node.op_type in MOVES or not node.output:
            continue
        for name in node.input:
            if (pair := _pair(name, makers)) is not None:
                operator = LAYER_NORM if node.output[0] in norms else node.op_type
                quantised = makers[pair.input[0]].input[0]
                found.append(
                    EightBitRead(site(node), operator, quantised, formats.get(pair.output[0], "INT8"), "graph")
                )
                break
    return tuple(found)


def engine_reads(layers: Iterable[EngineLayer], sites: Sequence[Site]) -> tuple[EightBitRead, ...]:
    """Nodes in layers that read 8 bits; not those fused with a product, whose the 8 bits are.

    Args:
        layers: of the engine.
        sites: of the model it was built from.
    """
    known: dict[str, Site] = {}
    for made in sites:
        known.setdefault(made.node or "", made)
        known.setdefault(f"node_of_{made.tensor}", made)  # What TensorRT's parser calls a nameless node.
    found = []
    for layer in layers:
        narrow = next((t for t in layer.inputs if any(kind in t.format.upper() for kind in NARROW)), None)
        inside = [known[name] for name in layer.nodes if name in known]
        if narrow is None or not layer.computes or any(s.op in PRODUCTS for s in inside):
            continue
        kind = "INT8" if "INT8" in narrow.format.upper() else "FP8"
        skipped = {Q, DQ, *MOVES}
        found += [EightBitRead(s, s.op or "", narrow.name, kind, "engine") for s in inside if s.op not in skipped]
    return tuple(found)


def _pair(name: str, makers: Mapping[str, onnx.NodeProto]) -> onnx.NodeProto | None:
    """The DequantizeLinear of an activation that a tensor comes from."""
    while (node := makers.get(name)) is not None:
        if node.op_type == DQ:
            before = makers.get(node.input[0])
            return node if before is not None and before.op_type == Q else None
        if node.op_type not in MOVES:
            return None
        name = node.input[0]
    return None


def _root(name: str, makers: Mapping[str, onnx.NodeProto]) -> str:
    """The tensor before quantisation."""
    while (pair := _pair(name, makers)) is not None:
        name = makers[pair.input[0]].input[0]
    return name


def _formats(model: onnx.ModelProto) -> dict[str, str]:
    """What each DequantizeLinear reads, by its output: told by the zero point."""
    kinds = {tensor.name: tensor.data_type for tensor in model.graph.initializer}
    nodes = [node for node in model.graph.node if node.op_type == DQ]
    return {n.output[0]: "FP8" for n in nodes if len(n.input) > 2 and kinds.get(n.input[2]) in FP8}


def _layer_norms(model: onnx.ModelProto, makers: Mapping[str, onnx.NodeProto]) -> set[str]:
    """First outputs of the nodes that spell a LayerNormalization out."""
    users: dict[str, list[onnx.NodeProto]] = {}
    for node in model.graph.node:
        for name in node.input:
            users.setdefault(name, []).append(node)
    found: set[str] = set()
    for node in model.graph.node:
        if node.op_type != "Sub" or len(node.input) != 2:
            continue
        mean = makers.get(_root(node.input[1], makers))
        if mean is None or mean.op_type != "ReduceMean":
            continue
        if _root(mean.input[0], makers) == _root(node.input[0], makers):
            found |= _chain(mean, node, users)
    return found


def _chain(mean: onnx.NodeProto, centred: onnx.NodeProto, users: Mapping[str, list[onnx.NodeProto]]) -> set[str]:
    """From the subtraction to the root and the division; empty where there is no root."""
    seen, kinds = {mean.output[0], centred.output[0]}, set()
    reached = [centred]
    for _ in range(LONGEST):
        following = [user for node in reached for name in node.output for user in users.get(name, ())]
        reached = []
        for user in following:
            squares = user.op_type != "Mul" or len(set(user.input)) == 1
            if user.output[0] not in seen and user.op_type in CHAIN | ENDS and squares:
                seen.add(user.output[0])
                kinds.add(user.op_type)
                reached += [user] if user.op_type in CHAIN or user.op_type == "Sqrt" else []
    return seen if "Sqrt" in kinds else set()
