"""Which nodes are held to a precision: told by the model alone, so every backend refuses a slip."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from assay_api.audit import Candidate
from assay_runner.errors import InvalidInput
from assay_runner.graphs.documents import load_outline
from assay_runner.graphs.taps import sites


def nodes(path: Path) -> list[tuple[str, str]]:
    """Name and operator of every node of a model's outer graph."""
    return [(site.node or site.tensor, site.op or "") for site in sites(load_outline(path))]


def check_names(held: Mapping[str, str], path: Path) -> None:
    """Do nothing where every name is that of a node of a model's outer graph.

    Raises:
        InvalidInput: one is not.
    """
    there = {name for name, _ in nodes(path)} if held else set()
    if missing := sorted(held.keys() - there):
        more = f" ({len(missing) - 1} more names likewise)" if missing[1:] else ""
        raise InvalidInput(
            f"node {missing[0]!r} is held to {held[missing[0]]}, and {path.name} has none of this name{more}: name "
            "nodes as the model does, one without a name as OPERATOR:OUTPUT"
        )


def held_nodes(path: Path, candidate: Candidate) -> dict[str, str]:
    """Precision by node name, where the candidate's `layers` say one.

    Raises:
        InvalidInput: a pattern matches no node.
    """
    patterns = [(layer.nodes, layer.precision) for layer in candidate.layers]
    return held(patterns, nodes(path)) if patterns else {}


def held(layers: Sequence[tuple[str, str]], nodes: Collection[tuple[str, str]]) -> dict[str, str]:
    """Precision by node name, of the nodes that patterns match; the last pattern that matches decides.

    Args:
        layers: pattern and precision.
        nodes: name and operator of every node.

    Raises:
        InvalidInput: a pattern matches no node.
    """
    found: dict[str, str] = {}
    for pattern, precision in layers:
        matched = [name for name, op in nodes if fnmatchcase(name, pattern) or fnmatchcase(op, pattern)]
        if not matched:
            raise InvalidInput(f"layers.nodes {pattern!r} matches no node of the model by name or operator")
        found |= dict.fromkeys(matched, precision)
    return found
