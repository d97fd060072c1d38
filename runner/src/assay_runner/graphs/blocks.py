"""Nodes in pieces that one tensor joins, and those in blocks: what a builder fuses, and what a model repeats.

Between two residual connections of a network a single tensor is alive; there, and wherever else that is so, a graph
falls into two parts that nothing else joins. Casts at such a border are one, not many.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final

import onnx

from assay_runner.graphs.documents import captured
from assay_runner.graphs.taps import name_of

LARGEST_PIECE: Final = 16
"""Nodes of a piece; where nothing falls apart by itself, it is cut in even parts of at most so many."""
SMALLEST_BLOCK: Final = 8
MOST_BLOCKS: Final = 64

Names = tuple[str, ...]


def blocks(model: onnx.ModelProto, chosen: Collection[str]) -> tuple[tuple[Names, ...], ...]:
    """Blocks of pieces of names of nodes, all in topological order.

    Args:
        model: the graph; of its nodes, in their order.
        chosen: names of the nodes that count; others are left out.
    """
    pieces = [part for piece in _pieces(model, chosen) for part in _even(piece, LARGEST_PIECE)]
    total = sum(map(len, pieces))
    least = max(SMALLEST_BLOCK, -(-total // MOST_BLOCKS))
    found: list[list[Names]] = []
    for piece in pieces:
        if not found or sum(map(len, found[-1])) >= least:
            found.append([])
        found[-1].append(piece)
    return tuple(tuple(block) for block in found)


def _pieces(model: onnx.ModelProto, chosen: Collection[str]) -> list[Names]:
    """Runs of nodes between places where at most one tensor that nodes made is alive."""
    nodes = list(model.graph.node)
    last = {name: number for number, node in enumerate(nodes) for name in (*node.input, *captured(node))}
    last |= {output.name: len(nodes) for output in model.graph.output}
    counted = {number for number, node in enumerate(nodes) if name_of(node) in chosen}
    alive: set[str] = set()
    found: list[Names] = []
    run: list[str] = []
    for number, node in enumerate(nodes):
        if number in counted:
            run.append(name_of(node))
            alive |= {name for name in node.output if last.get(name, -1) > number}
        alive = {name for name in alive if last[name] > number}
        if run and len(alive) <= 1:
            found.append(tuple(run))
            run = []
    return [*found, tuple(run)] if run else found


def _even(piece: Names, most: int) -> Sequence[Names]:
    parts = -(-len(piece) // most)
    size = -(-len(piece) // parts)
    return [piece[start : start + size] for start in range(0, len(piece), size)]


def borders(model: onnx.ModelProto, chosen: Collection[str]) -> dict[str, tuple[Names, Names]]:
    """Of each tensor that a chosen node makes or reads: the chosen nodes that make it, and those that read it."""
    made: dict[str, Names] = {}
    read: dict[str, Names] = {}
    for node in model.graph.node:
        name = name_of(node)
        if name not in chosen:
            continue
        for tensor in filter(None, node.output):
            made[tensor] = (name,)
        for tensor in dict.fromkeys(filter(None, node.input)):
            read[tensor] = (*read.get(tensor, ()), name)
    return {tensor: (made[tensor], read.get(tensor, ())) for tensor in made}
