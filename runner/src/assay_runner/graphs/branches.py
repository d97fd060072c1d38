"""Branches that weights alone decide: an exporter leaves an If where what it asks is the same for every input.

The branch that is taken stands in the graph then, as every builder makes it; what is inside can be shown and quantised.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping
from itertools import count
from typing import Final

import numpy as np
import onnx
from onnx import helper

from assay_runner.graphs.constants import Upstream, constants, drop_dead
from assay_runner.graphs.documents import fresh, rename_uses
from assay_runner.models.outline import FEW

# What conditions are made of; none makes much of little, so that to evaluate it costs nothing.
ASKED: Final = frozenset(
    {"Constant", "Identity", "Cast", "Shape", "Size", "Gather", "Slice", "Concat", "Squeeze", "Unsqueeze", "Reshape"}
    | {"Equal", "Not", "And", "Or", "Xor", "Greater", "Less", "GreaterOrEqual", "LessOrEqual", "Where"}
    | {"Add", "Sub", "Mul", "Div", "Mod", "Abs", "Neg", "Min", "Max"}
    | {"ReduceMin", "ReduceMax", "ReduceSum", "ReduceProd"}
)


def decided(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model, in place, each If of the outer graph that weights decide replaced by the nodes of its branch.

    Names of a branch that are in use elsewhere are changed. Values of large weights are not asked for: without them, a
    model has the same nodes.
    """
    done = False
    while (found := next(_decided(model), None)) is not None:
        _replace(model, *found)
        done = True
    if done:
        # What decided it decides nothing any more.
        drop_dead(model, constants(model), {output.name for output in model.graph.output})
    return model


def _decided(model: onnx.ModelProto) -> Iterator[tuple[int, onnx.GraphProto]]:
    """Indices of such nodes, and the branches that are taken."""
    if not any(node.op_type == "If" for node in model.graph.node):
        return
    fixed = constants(model)
    for index, node in enumerate(model.graph.node):
        if node.op_type == "If" and node.domain in ("", "ai.onnx") and node.input[0] in fixed:
            taken = _condition(model, node.input[0])
            if taken is not None:
                name = "then_branch" if taken else "else_branch"
                yield index, next(attribute.g for attribute in node.attribute if attribute.name == name)


def _condition(model: onnx.ModelProto, name: str) -> bool | None:
    """The value of a condition that small weights decide; None where that is not known."""
    part = Upstream(model).of(name)
    if any(math.prod(t.dims) > FEW or t.data_location == t.EXTERNAL for t in part.graph.initializer):
        return None
    if not {node.op_type for node in part.graph.node} <= ASKED:
        return None
    if not part.graph.node:
        return bool(np.all(onnx.numpy_helper.to_array(part.graph.initializer[0])))
    from onnx.reference import ReferenceEvaluator

    try:
        [value] = ReferenceEvaluator(part).run(None, {})
    except Exception:  # It raises what it likes; what it cannot compute is not known.
        return None
    return bool(np.all(value)) if np.size(value) == 1 else None


def _replace(model: onnx.ModelProto, index: int, branch: onnx.GraphProto) -> None:
    node, graph = onnx.NodeProto(), onnx.GraphProto()
    node.CopyFrom(model.graph.node[index])
    graph.CopyFrom(branch)
    # What the node itself holds is gone, so its names are free.
    del model.graph.node[index].attribute[:]
    name = fresh(model)
    made = [*(t.name for t in graph.initializer), *(o for inner in graph.node for o in inner.output if o)]
    names = {own: name(own) for own in made}
    asked = dict(zip((value.name for value in graph.output), node.output, strict=False))
    computed = {o for inner in graph.node for o in inner.output}
    names |= {own: output for own, output in asked.items() if own in computed and output}
    called = {other.name for other in model.graph.node}
    nodes = [_renamed(inner, names) for inner in graph.node]
    for inner in nodes:
        inner.name = _unlike(inner.name, called)
        called.add(inner.name)
    for value, output in zip(graph.output, node.output, strict=False):
        source = names.get(value.name, value.name)
        if output and source != output:
            nodes.append(helper.make_node("Identity", [source], [output], name=name(f"{output}__branch")))
    for tensor in graph.initializer:
        model.graph.initializer.add().CopyFrom(tensor)
        model.graph.initializer[-1].name = names[tensor.name]
    kept = [*model.graph.node[:index], *nodes, *model.graph.node[index + 1 :]]
    del model.graph.node[:]
    model.graph.node.extend(kept)


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
