"""What a draft must know of a model beyond its inputs and outputs, read from its graph alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import onnx
from onnx import TensorProto

from assay_runner.drafting.shape_inputs import ShapeInput, shape_inputs
from assay_runner.graphs.documents import attributes, load_outline
from assay_runner.graphs.eight_bit import FORMATS

_PASSING: Final = frozenset({"Cast", "Identity", "Reshape", "Squeeze", "Unsqueeze", "Flatten"})
"""Operators behind which an index is still the index that was fed."""
_PAIRS: Final = frozenset({"QuantizeLinear", "DequantizeLinear"})


@dataclass(frozen=True)
class Facts:
    """What a graph says of itself.

    Attributes:
        products: whether it has nodes that run in 8 bits once they are calibrated.
        pairs: whether it has Q/DQ pairs of its own.
        rows: of inputs that are looked up in a table, how many rows the smallest table has, by name.
        shapes: inputs that say how large something is to be, by name.
    """

    products: bool
    pairs: bool
    rows: Mapping[str, int]
    shapes: Mapping[str, ShapeInput]


def facts_of(path: Path) -> Facts:
    """Read them.

    Raises:
        InvalidInput: the file is no ONNX model.
    """
    graph = load_outline(path).graph
    operators = {node.op_type for node in graph.node}
    floats = any(tensor.data_type == TensorProto.FLOAT for tensor in graph.initializer)
    return Facts(
        products=floats and not operators.isdisjoint(FORMATS["int8"].operators),
        pairs=not operators.isdisjoint(_PAIRS),
        rows=_rows(graph),
        shapes=shape_inputs(graph),
    )


def _rows(graph: onnx.GraphProto) -> dict[str, int]:
    tables = {tensor.name: tensor for tensor in graph.initializer}
    origin = {value.name: value.name for value in graph.input}
    found: dict[str, int] = {}
    for node in graph.node:
        if node.op_type in _PASSING and node.input[0] in origin:
            origin[node.output[0]] = origin[node.input[0]]
        if node.op_type != "Gather" or node.input[0] not in tables or node.input[1] not in origin:
            continue
        table, name = tables[node.input[0]], origin[node.input[1]]
        axis = attributes(node).get("axis", 0)
        found[name] = min(found.get(name, table.dims[axis]), table.dims[axis])
    return found
