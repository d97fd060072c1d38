"""What can be kept wide of a model: nodes in pieces in blocks, each with how suspicious it is; and what that costs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import onnx

from assay_runner.graphs.blocks import blocks, borders
from assay_runner.search import Item

CAST: Final = 1.0
"""What a tensor that is cast costs; a node that runs wider costs a share of it, as memory mostly decides."""
WIDE: Final = 0.5


def items_of(model: onnx.ModelProto, suspicion: Mapping[str, float], chosen: frozenset[str]) -> list[Item[str]]:
    """Blocks with pieces with nodes."""
    found = []
    for number, block in enumerate(blocks(model, chosen)):
        pieces = []
        for place, names in enumerate(block):
            leaves = tuple(Item(name, suspicion.get(name, 0.0), WIDE) for name in names)
            label = f"\0block {number} piece {place}"  # No node bears such a name.
            pieces.append(leaves[0] if len(leaves) == 1 else Item(label, parts=leaves))
        found.append(pieces[0] if len(pieces) == 1 else Item(f"\0block {number}", parts=tuple(pieces)))
    return found


def cost_of(model: onnx.ModelProto, chosen: frozenset[str]) -> Callable[[frozenset[str]], float]:
    """Casts that a set of wide nodes needs, and what its nodes cost; no milliseconds: those an engine tells."""
    tensors = list(borders(model, chosen).values())

    def cost(kept: frozenset[str]) -> float:
        casts = 0
        for makers, readers in tensors:
            wide = makers[0] in kept
            casts += any((reader in kept) != wide for reader in readers)
        return CAST * casts + WIDE * len(kept)

    return cost
