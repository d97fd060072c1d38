"""Graphs: read, prepared for whoever looks at them or rewrites them, and written.

Their weights are another matter (`graphs/weights.py`): what is handled here takes kilobytes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Set
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.inliner
from onnx import helper, numpy_helper

from assay_runner.errors import InvalidInput
from assay_runner.models.outline import read_outline

OUTLINES = 8
DEFAULT_DOMAINS = ("", "ai.onnx")
FIRST_IMPORTED = 17


def load_graph(path: Path) -> onnx.ModelProto:
    """The model without its external weights, constants of the outer graph as initialisers.

    Local functions stand inlined, and so do branches that weights decide.

    Raises:
        InvalidInput: the file is no ONNX model.
    """
    try:
        return _prepared(onnx.load(str(path), load_external_data=False))
    except Exception as error:
        raise InvalidInput(f"{path.name} cannot be read as an ONNX model: {error}") from error


def load_outline(path: Path) -> onnx.ModelProto:
    """`load_graph` without the values of large weights: for whoever asks what is computed, and changes nothing.

    Raises:
        InvalidInput: the file is no ONNX model.
    """
    try:
        status = path.stat()
        return _copied(_prepared_outline(path, status.st_size, status.st_mtime_ns))
    except Exception as error:
        raise InvalidInput(f"{path.name} cannot be read as an ONNX model: {error}") from error


@lru_cache(OUTLINES)
def _prepared_outline(path: Path, _size: int, _changed: int) -> onnx.ModelProto:
    """Shared, so that nobody may change it; size and time of change are there as in `read_outline`."""
    return _prepared(_copied(read_outline(path)))


def _copied(model: onnx.ModelProto) -> onnx.ModelProto:
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    return copy


def _prepared(model: onnx.ModelProto) -> onnx.ModelProto:
    # It stands on this file, which is why it is not known above.
    from assay_runner.graphs.branches import decided
    from assay_runner.graphs.sparse import dense

    inlined = onnx.inliner.inline_local_functions(model) if model.functions else model
    return _constants_as_weights(decided(dense(_weights_are_no_inputs(_with_default_opset(inlined)))))


def _with_default_opset(model: onnx.ModelProto) -> onnx.ModelProto:
    """A model may use operators of another domain alone; what is put in beside them is of the default one."""
    if not any(imported.domain in DEFAULT_DOMAINS for imported in model.opset_import):
        model.opset_import.append(helper.make_opsetid("", FIRST_IMPORTED))
        model.ir_version = max(model.ir_version, 8)
    return model


def _weights_are_no_inputs(model: onnx.ModelProto) -> onnx.ModelProto:
    """Older exporters list every initialiser among the inputs, where its type would have to change with it."""
    weights = {tensor.name for tensor in model.graph.initializer}
    fed = [value for value in model.graph.input if value.name not in weights]
    if len(fed) < len(model.graph.input):
        del model.graph.input[:]
        model.graph.input.extend(fed)
    # Format version 4 is the first that allows it, and what is put in beside them later is no input either.
    model.ir_version = max(model.ir_version, 4)
    return model


def save(model: onnx.ModelProto, path: Path) -> Path:
    """Write a localised model; its weights stay beside it."""
    path.write_bytes(model.SerializeToString())
    return path


def attributes(node: onnx.NodeProto) -> dict[str, Any]:
    """What a node's attributes hold, by name."""
    return {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}


def subgraphs(node: onnx.NodeProto) -> Iterator[onnx.GraphProto]:
    """Graphs in the attributes of a control-flow node."""
    for attribute in node.attribute:
        if attribute.type == onnx.AttributeProto.GRAPH:
            yield attribute.g
        elif attribute.type == onnx.AttributeProto.GRAPHS:
            yield from attribute.graphs


def all_nodes(graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    """Nodes of a graph, each followed by those of its subgraphs."""
    for node in graph.node:
        yield node
        # Most have no attribute, and of thousands of nodes it shows what asking costs.
        for inner in subgraphs(node) if node.attribute else ():
            yield from all_nodes(inner)


def all_graphs(graph: onnx.GraphProto) -> Iterator[onnx.GraphProto]:
    """A graph, and those inside its nodes; one may be changed before the next is asked for."""
    yield graph
    for node in graph.node:
        for inner in subgraphs(node) if node.attribute else ():
            yield from all_graphs(inner)


def captured(node: onnx.NodeProto) -> Set[str]:
    """Names of outer tensors that the node's subgraphs use, in the order in which they do."""
    names: dict[str, None] = {}
    if not node.attribute:
        return names.keys()
    for graph in subgraphs(node):
        made = {i.name for i in graph.input} | {t.name for t in graph.initializer}
        used: dict[str, None] = {}
        for inner in graph.node:
            used |= dict.fromkeys((*inner.input, *captured(inner)))
            made |= set(inner.output)
        used |= dict.fromkeys(output.name for output in graph.output)
        names |= dict.fromkeys(name for name in used if name not in made)
    names.pop("", None)
    return names.keys()


def rename_uses(node: onnx.NodeProto, names: dict[str, str]) -> None:
    """Let the node, and its subgraphs, use other tensors (ONNX forbids a subgraph to reuse an outer name)."""
    for index, name in enumerate(node.input):
        if name in names:
            node.input[index] = names[name]
    for graph in subgraphs(node) if node.attribute else ():
        for inner in graph.node:
            rename_uses(inner, names)
        for output in graph.output:
            output.name = names.get(output.name, output.name)


def opset(model: onnx.ModelProto) -> int:
    """Version of the default operator set."""
    return next((i.version for i in model.opset_import if i.domain in DEFAULT_DOMAINS), 1)


def fresh(model: onnx.ModelProto) -> Callable[[str], str]:
    """A function that makes names the model does not use yet."""
    used = _names(model.graph, set())

    def name(wish: str) -> str:
        number, found = 0, wish
        while found in used:
            number += 1
            found = f"{wish}_{number}"
        used.add(found)
        return found

    return name


def _names(graph: onnx.GraphProto, found: set[str]) -> set[str]:
    """All that bears a name in a graph and in those inside it, added to what was found."""
    found.update(v.name for values in (graph.input, graph.output, graph.initializer) for v in values)
    for node in graph.node:
        found.update(node.input)
        found.update(node.output)
        for inner in subgraphs(node) if node.attribute else ():
            _names(inner, found)
    return found


def _constant(node: onnx.NodeProto) -> onnx.TensorProto | None:
    """The numbers of a Constant, however it says them; None of strings, and of what is sparse."""
    for each in node.attribute:
        if each.name == "value":
            stored: onnx.TensorProto = each.t
            return stored
        if each.name in ("value_float", "value_floats", "value_int", "value_ints"):
            kind = np.float32 if "float" in each.name else np.int64
            return numpy_helper.from_array(np.array(helper.get_attribute_value(each), kind))
    return None


def _constants_as_weights(model: onnx.ModelProto) -> onnx.ModelProto:
    kept = []
    for node in model.graph.node:
        value = _constant(node) if node.op_type == "Constant" else None
        if value is None:
            kept.append(node)
        else:
            model.graph.initializer.add().CopyFrom(value)
            model.graph.initializer[-1].name = node.output[0]
    if len(kept) < len(model.graph.node):
        del model.graph.node[:]
        model.graph.node.extend(kept)
    return model
