"""Branches that weights and declared shapes alone decide: an exporter leaves an If where no input changes the answer.

The branch that is taken stands in the graph then, as every builder makes it; what is inside can be shown and quantised.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from itertools import count
from typing import Final

import numpy as np
import onnx
from onnx import helper, numpy_helper

from assay_runner.graphs.constants import Upstream, constants, drop_dead
from assay_runner.graphs.documents import fresh, rename_uses
from assay_runner.graphs.known_shapes import shape_values
from assay_runner.graphs.taps import name_of
from assay_runner.models.outline import FEW
from assay_runner.tensors import Array

STANDARD: Final = ("", "ai.onnx")
# What conditions are made of; none makes much of little, so that to evaluate it costs nothing.
ASKED: Final = frozenset(
    {"Constant", "Identity", "Cast", "Shape", "Size", "Gather", "Slice", "Concat", "Squeeze", "Unsqueeze", "Reshape"}
    | {"Equal", "Not", "And", "Or", "Xor", "Greater", "Less", "GreaterOrEqual", "LessOrEqual", "Where"}
    | {"Add", "Sub", "Mul", "Div", "Mod", "Abs", "Neg", "Min", "Max"}
    | {"ReduceMin", "ReduceMax", "ReduceSum", "ReduceProd"}
)


def _unheard(taken: dict[str, str]) -> None:
    """Nobody asks."""


def decided(model: onnx.ModelProto, told: Callable[[dict[str, str]], None] = _unheard) -> onnx.ModelProto:
    """The model, in place, each If of the outer graph that weights or declared shapes decide replaced by its branch.

    Names of a branch that are in use elsewhere are changed. Values of large weights are not asked for: without them, a
    model has the same nodes.

    Args:
        model: as it is read.
        told: is told, by the name of each such node, the attribute of the branch that is taken.
    """
    done = False
    while branches := _taken(model):
        nodes = {index: model.graph.node[index] for index in branches}
        told({name_of(nodes[index]): name for index, name in branches.items()})
        _replace(model, {index: _branch(nodes[index], name) for index, name in branches.items()})
        done = True
    if done:
        # What decided it decides nothing any more.
        shapes = {name for node in model.graph.node if node.op_type == "Shape" for name in node.output}
        drop_dead(model, constants(model, shapes), {output.name for output in model.graph.output})
    return model


def deciding(model: onnx.ModelProto, held: Mapping[str, Array]) -> dict[str, str]:
    """The model, in place, each If of the outer graph that weights and these graph inputs decide replaced likewise.

    Args:
        model: as `load_graph` or `load_outline` gives it; its inputs stay.
        held: values of graph inputs that are the same in every run.

    Returns:
        By the name of the node, the attribute of the branch that is taken.
    """
    model.graph.initializer.extend(numpy_helper.from_array(array, name) for name, array in held.items())
    taken: dict[str, str] = {}
    decided(model, taken.update)
    for place in reversed(range(len(model.graph.initializer))):
        if model.graph.initializer[place].name in held:
            del model.graph.initializer[place]
    return taken


def _branch(node: onnx.NodeProto, name: str) -> onnx.GraphProto:
    graph: onnx.GraphProto = next(attribute.g for attribute in node.attribute if attribute.name == name)
    return graph


def _taken(model: onnx.ModelProto) -> dict[int, str]:
    """The attributes of the branches that are taken, by the index of their node."""
    asked = [(i, node) for i, node in enumerate(model.graph.node) if node.op_type == "If" and node.domain in STANDARD]
    of_shapes = shape_values(model, {node.input[0] for _, node in asked}) if asked else {}
    fixed = constants(model, of_shapes) if asked else frozenset()
    conditions = dict.fromkeys(node.input[0] for _, node in asked if node.input[0] in fixed)
    if not conditions:
        return {}
    upstream = Upstream(model, {name: numpy_helper.from_array(array, name) for name, array in of_shapes.items()})
    known = {name: _value(upstream.of(name)) for name in conditions}
    found = {}
    for index, node in asked:
        if (taken := known.get(node.input[0])) is not None:
            found[index] = "then_branch" if taken else "else_branch"
    return found


def _value(part: onnx.ModelProto) -> bool | None:
    """The value of a condition that small weights decide; None where that is not known."""
    if any(math.prod(t.dims) > FEW or t.data_location == t.EXTERNAL for t in part.graph.initializer):
        return None
    if not {node.op_type for node in part.graph.node} <= ASKED:
        return None
    if not part.graph.node:
        return bool(np.all(numpy_helper.to_array(part.graph.initializer[0])))
    from onnx.reference import ReferenceEvaluator

    try:
        [value] = ReferenceEvaluator(part).run(None, {})
    except Exception:  # It raises what it likes; what it cannot compute is not known.
        return None
    return bool(np.all(value)) if np.size(value) == 1 else None


def _replace(model: onnx.ModelProto, branches: Mapping[int, onnx.GraphProto]) -> None:
    """Put the nodes of branches, by index, in the place of theirs."""
    nodes, graphs = list(model.graph.node), {}
    for index, branch in branches.items():
        graphs[index] = onnx.GraphProto()
        graphs[index].CopyFrom(branch)
        # What the node itself holds is gone, so its names are free.
        del nodes[index].attribute[:]
    name = fresh(model)
    called = {node.name for index, node in enumerate(nodes) if index not in graphs}
    kept: list[onnx.NodeProto] = []
    for index, node in enumerate(nodes):
        made = [node] if index not in graphs else _inlined(model, node, graphs[index], name)
        for inner in made if index in graphs else ():
            inner.name = _unlike(inner.name, called)
            called.add(inner.name)
        kept += made
    copies = onnx.GraphProto(node=kept)
    del model.graph.node[:]
    model.graph.node.extend(copies.node)


def _inlined(
    model: onnx.ModelProto, node: onnx.NodeProto, branch: onnx.GraphProto, name: Callable[[str], str]
) -> list[onnx.NodeProto]:
    """The nodes of a branch, making what its node made; its weights become the model's."""
    computed = {output for inner in branch.node for output in inner.output if output}
    names = {own: name(own) for own in (*(tensor.name for tensor in branch.initializer), *sorted(computed))}
    asked = dict(zip((value.name for value in branch.output), node.output, strict=False))
    names |= {own: output for own, output in asked.items() if own in computed and output}
    nodes = [_renamed(inner, names) for inner in branch.node]
    for value, output in zip(branch.output, node.output, strict=False):
        source = names.get(value.name, value.name)
        if output and source != output:
            nodes.append(helper.make_node("Identity", [source], [output], name=name(f"{output}__branch")))
    for tensor in branch.initializer:
        model.graph.initializer.add().CopyFrom(tensor)
        model.graph.initializer[-1].name = names[tensor.name]
    return nodes


def _unlike(wish: str, called: Collection[str]) -> str:
    """A name for a node, of which ONNX Runtime takes each once; many may have none."""
    found = wish
    for number in count(1):
        if not wish or found not in called:
            break
        found = f"{wish}_{number}"
    return found


def _renamed(node: onnx.NodeProto, names: Mapping[str, str]) -> onnx.NodeProto:
    rename_uses(node, dict(names))
    for place, output in enumerate(node.output):
        node.output[place] = names.get(output, output)
    return node
