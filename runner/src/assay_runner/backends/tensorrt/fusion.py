"""Which tensors of the graph an engine keeps between its layers, and which a fused layer swallows.

A fused layer computes several nodes at once and makes none of the tensors between them. To show such a tensor the
engine must be built otherwise, and then it is another engine. What lies between two layers is written to memory anyway:
showing it costs a copy and changes least.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import onnx

from assay_runner.evidence.engine import EngineLayer
from assay_runner.graphs.documents import captured
from assay_runner.graphs.operators import MOVES
from assay_runner.graphs.upstream import fed

THROUGH = frozenset({"QuantizeLinear", "DequantizeLinear", "Cast", "Identity"})
"""Operators that change how numbers are held: a layer takes its inputs, or gives its outputs, through them."""

VANISHING = THROUGH | MOVES | {"Dropout"}
"""Operators of which nothing may be left in an engine."""

COPY = "Reformatting CopyNode"
"""How the inspector calls a layer that changes the layout of what another one takes, whose name follows."""


@dataclass(frozen=True)
class Fusion:
    """How the tensors of a graph lie in an engine.

    Attributes:
        kept: tensors between layers, and the graph's outputs, in topological order.
        inside: tensors of the layers that make a kept one, by its name, in topological order.
        layers: names of those layers, by the kept tensor's name.
    """

    kept: tuple[str, ...]
    inside: Mapping[str, tuple[str, ...]]
    layers: Mapping[str, tuple[str, ...]]


def fusion(model: onnx.ModelProto, layers: Sequence[EngineLayer]) -> Fusion:
    """Where the tensors of the model that was parsed lie in the engine that was made of it.

    A node that no layer names was optimised away, as a Reshape is that moves nothing: it is looked through. But of one
    that computes from the data, as an If, or whose name another one bears too, it is not known where it is: what it
    makes and reads counts as kept, for to be excused a tensor must be known to lie inside a layer.

    Args:
        model: the ONNX model that TensorRT's parser was given.
        layers: of the engine, as its inspector tells them. Where they name no node, every tensor counts as kept.
    """
    homes = _homes(model, layers)
    outputs = {output.name for output in model.graph.output}
    readers = _readers(model)
    makers = {name: index for index, node in enumerate(model.graph.node) for name in node.output if name}
    told, unlocated = any(homes), _unlocated(model, homes)
    kept = tuple(
        name
        for name, index in makers.items()
        if name in outputs or not told or _leaves(name, index, model, homes, readers, unlocated)
    )
    swallowed = _swallowed(model, homes, kept)
    inside = {name: _inside(homes[makers[name]], swallowed) for name in kept}
    named = {name: tuple(layers[place].name for place in sorted(homes[makers[name]])) for name in kept}
    return Fusion(kept, inside, named)


def _homes(model: onnx.ModelProto, layers: Sequence[EngineLayer]) -> list[frozenset[int]]:
    """By node: the layers that compute it, or a part of it."""
    places: dict[str, set[int]] = {}
    for number, layer in enumerate(layers):
        if layer.name.startswith(COPY):
            continue
        for name in layer.nodes:
            places.setdefault(name, set()).add(number)
    return [frozenset(places.get(_known_as(node), ())) for node in model.graph.node]


def _unlocated(model: onnx.ModelProto, homes: Sequence[frozenset[int]]) -> frozenset[int]:
    """Nodes, by index, that are somewhere in the engine, but not told where."""
    data = fed(model)
    bearers = Counter(_known_as(node) for node in model.graph.node)
    return frozenset(
        index
        for index, (node, home) in enumerate(zip(model.graph.node, homes, strict=True))
        if bearers[_known_as(node)] > 1
        or (not home and node.op_type not in VANISHING and not data.isdisjoint(node.output))
    )


def _known_as(node: onnx.NodeProto) -> str:
    """TensorRT's parser calls a nameless node by its first output."""
    return node.name or (f"node_of_{node.output[0]}" if node.output else "")


def _readers(model: onnx.ModelProto) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for index, node in enumerate(model.graph.node):
        for name in {*node.input, *captured(node)} - {""}:
            found.setdefault(name, []).append(index)
    return found


def _leaves(
    name: str,
    maker: int,
    model: onnx.ModelProto,
    homes: Sequence[frozenset[int]],
    readers: Mapping[str, Collection[int]],
    unlocated: Collection[int],
) -> bool:
    """Whether a tensor is read in a layer that has no part in making it, or may be."""
    if model.graph.node[maker].op_type in THROUGH:
        return False
    if maker in unlocated:
        return True
    if not homes[maker]:
        return False
    seen: set[int] = set()
    ends = list(readers.get(name, ()))
    while ends:
        reader = ends.pop()
        if reader in seen:
            continue
        seen.add(reader)
        node = model.graph.node[reader]
        if node.op_type in THROUGH or not (homes[reader] or reader in unlocated):
            ends += [index for output in node.output for index in readers.get(output, ())]
        elif reader in unlocated or not homes[maker] & homes[reader]:
            return True
    return False


def _swallowed(
    model: onnx.ModelProto, homes: Sequence[frozenset[int]], kept: Collection[str]
) -> dict[int, list[tuple[int, str]]]:
    """Tensors that are not kept, each with its place in topological order, by the layers that have a part in them."""
    found: dict[int, list[tuple[int, str]]] = {}
    there = set(kept)
    for order, (node, home) in enumerate(zip(model.graph.node, homes, strict=True)):
        if node.op_type not in THROUGH:
            for output in node.output:
                if output and output not in there:
                    for layer in home:
                        found.setdefault(layer, []).append((order, output))
    return found


def _inside(layers: frozenset[int], swallowed: Mapping[int, Sequence[tuple[int, str]]]) -> tuple[str, ...]:
    there = dict.fromkeys(entry for layer in layers for entry in swallowed.get(layer, ()))
    # By the node alone: its outputs stand in their own order already.
    return tuple(name for _, name in sorted(there, key=lambda entry: entry[0]))
