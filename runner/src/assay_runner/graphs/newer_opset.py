"""A model with a newer operator set, whose nodes mean what they meant: what ONNX's own converter does not see to.

- Upsample and Resize before opset 11 take element i of an axis from i / scale, and the nearest one by leaving the rest
  off, or rounding it up where an axis becomes shorter. Newer ones do so only where attributes say it.
- Hardmax before opset 13 takes all axes from the first named one on as one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import numpy as np
import onnx
import onnx.version_converter
from onnx import helper, numpy_helper

from assay_runner.graphs.documents import all_graphs, all_nodes, attributes, opset
from assay_runner.graphs.weights import weight
from assay_runner.tensors import Array

STATED: Final = 11
"""The first operator set in which a Resize says how it takes its elements."""
ONE_AXIS: Final = 13
"""The first one in which Hardmax is along one axis."""


def with_opset(model: onnx.ModelProto, version: int, folder: Path) -> onnx.ModelProto:
    """The model with a newer version of the default operator set.

    Args:
        model: an older one; changed in place on the way.
        version: of the operator set.
        folder: where its external weights lie.

    Raises:
        Exception: it cannot be converted; the converter raises what it likes.
    """
    old = opset(model)
    resized = _resized(model, folder) if old < STATED else {}
    if old < ONE_AXIS:
        for graph in all_graphs(model.graph):
            _flatten_hardmax(graph)
    newer = onnx.version_converter.convert_version(model, version)
    for node in all_nodes(newer.graph):
        if node.op_type == "Resize" and node.output[0] in resized:
            node.attribute.append(helper.make_attribute("coordinate_transformation_mode", "asymmetric"))
            node.attribute.append(helper.make_attribute("nearest_mode", resized[node.output[0]]))
    return newer


def _resized(model: onnx.ModelProto, folder: Path) -> dict[str, str]:
    """How each Upsample and Resize finds the nearest element, by its output.

    Raises:
        ValueError: no attribute says it.
    """
    constants = {name: array for graph in all_graphs(model.graph) for name, array in _constants(graph, folder)}
    nodes = [node for node in all_nodes(model.graph) if node.op_type in ("Upsample", "Resize")]
    return {node.output[0]: _nearest(node, constants) for node in nodes}


def _nearest(node: onnx.NodeProto, constants: Mapping[str, Array]) -> str:
    given = attributes(node)
    if node.op_type == "Upsample" or given.get("mode", b"nearest") != b"nearest":
        return "floor"
    scales = constants.get(node.input[1])
    # What is computed is nearly always a longer axis: exporters say so of a size that follows from another tensor.
    if scales is None or (scales >= 1).all():
        return "floor"
    if (scales <= 1).all():
        return "ceil"
    raise ValueError(f"node {node.name!r} (Resize) makes one axis longer and another one shorter")


def _constants(graph: onnx.GraphProto, folder: Path) -> Iterator[tuple[str, Array]]:
    """Small weights of a graph, and what its Constant nodes hold."""
    read = {name for node in graph.node if node.op_type == "Resize" for name in node.input[1:]}
    for tensor in graph.initializer:
        if tensor.name in read:
            yield tensor.name, np.asarray(weight(tensor, folder))
    for node in graph.node:
        value = attributes(node).get("value") if node.op_type == "Constant" and node.output[0] in read else None
        if value is not None:
            yield node.output[0], numpy_helper.to_array(value)


def _flatten_hardmax(graph: onnx.GraphProto) -> None:
    """Have each Hardmax of a graph read a table of two axes, and give what it makes the shape of what it was given."""
    nodes = list(graph.node)
    del graph.node[:]
    for node in nodes:
        if node.op_type != "Hardmax":
            graph.node.append(node)
            continue
        given, made = node.input[0], node.output[0]
        shape, table, hard = (f"{made}__{what}" for what in ("shape", "table", "hard"))
        axis = attributes(node).get("axis", 1)
        graph.node.extend(
            [
                helper.make_node("Shape", [given], [shape], f"{shape}__node"),
                helper.make_node("Flatten", [given], [table], f"{table}__node", axis=axis),
                helper.make_node("Hardmax", [table], [hard], node.name, axis=1),
                helper.make_node("Reshape", [hard, shape], [made], f"{hard}__node"),
            ]
        )
