"""What a tensor is computed from: whoever is to blame for it is among its ancestors, and nowhere else in the graph."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

import onnx

from assay_runner.graphs.documents import all_nodes, captured, subgraphs
from assay_runner.graphs.taps import RANDOM_OPS

_OF_SHAPE: Final = ("Shape", "Size")
"""Operators that read no number of their input."""


def upstream(model: onnx.ModelProto, tensor: str) -> frozenset[str]:
    """Names of the tensors that a tensor is computed from: itself, graph inputs, those inside control flow too."""
    makers = {output: node for node in model.graph.node for output in node.output if output}
    found: set[str] = set()
    ahead = [tensor]
    while ahead:
        name = ahead.pop()
        if name in found:
            continue
        found.add(name)
        if name in makers:
            node = makers[name]
            found.update(o for graph in subgraphs(node) for inner in all_nodes(graph) for o in inner.output if o)
            ahead += [source for source in (*node.input, *captured(node)) if source]
    return frozenset(found)


def fed(model: onnx.ModelProto) -> frozenset[str]:
    """Names of the tensors whose numbers the data decide: not those of weights and shapes alone."""
    found = {value.name for value in model.graph.input} - {tensor.name for tensor in model.graph.initializer}
    for node in model.graph.node:
        reads = node.op_type not in _OF_SHAPE and not found.isdisjoint((*node.input, *captured(node)))
        if reads or node.op_type in RANDOM_OPS:
            found.update(output for output in node.output if output)
    return frozenset(found)


def nearest(model: onnx.ModelProto, among: Collection[str]) -> dict[str, tuple[str, ...]]:
    """By each of some tensors, in topological order, those of them that it is computed from with none in between."""
    behind: dict[str, tuple[str, ...]] = {}
    found: dict[str, tuple[str, ...]] = {}
    for node in model.graph.node:
        read = () if node.op_type in _OF_SHAPE else (*node.input, *captured(node))
        sources = tuple(dict.fromkeys(n for name in read for n in ((name,) if name in among else behind.get(name, ()))))
        for output in filter(None, node.output):
            behind[output] = sources
            if output in among:
                found[output] = sources
    return found
