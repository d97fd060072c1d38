"""What stands inside control flow, where no run can show it: element types of its tensors, and which nodes hide some.

ONNX Runtime says nothing about tensors of subgraphs, so ONNX's own inference is asked, given the outer types that ONNX
Runtime found. A tensor it does not know is taken for one that nobody has looked at.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping
from types import MappingProxyType

import onnx
from onnx import TensorProto, helper

from assay_runner.graphs.documents import all_nodes, attributes, subgraphs
from assay_runner.graphs.operators import MOVES
from assay_runner.graphs.taps import site
from assay_runner.tensors import Site

FLOATS = frozenset({TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.FLOAT16, TensorProto.BFLOAT16})
NOTHING: Mapping[str, int] = MappingProxyType({})


def control_flow(model: onnx.ModelProto) -> tuple[Site, ...]:
    """Nodes of the outer graph that have subgraphs, in order; a nameless one gets its output's name."""
    return tuple(site(node) for node in model.graph.node if any(subgraphs(node)))


def learn_types(model: onnx.ModelProto, types: Mapping[str, int] = NOTHING) -> None:
    """Fill `value_info` of every subgraph, and types that its inputs and outputs lack, as far as inference reaches.

    Changes the model in place.

    Args:
        model: its weights may be external.
        types: element types of outer tensors, where known.
    """
    if not control_flow(model):
        return
    probe = onnx.ModelProto()
    probe.CopyFrom(model)
    del probe.graph.value_info[:]
    outputs = {value.name for value in probe.graph.output}
    made = [name for node in probe.graph.node for name in node.output if name in types and name not in outputs]
    probe.graph.value_info.extend(helper.make_tensor_value_info(name, types[name], None) for name in made)
    try:
        inferred = onnx.shape_inference.infer_shapes(probe)
    except onnx.shape_inference.InferenceError:
        return  # Nothing is known then, and what is not known counts as not looked at.
    _copy(inferred.graph, model.graph)


def element_types(graph: onnx.GraphProto) -> dict[str, int]:
    """Element types of a subgraph's own tensors, after `learn_types`; 0 where it is not known."""
    types = {output: 0 for node in graph.node for output in node.output if output}
    for value in (*graph.value_info, *graph.input, *graph.output):
        if not value.type.WhichOneof("value") or value.type.HasField("tensor_type"):
            types[value.name] = types.get(value.name, 0) or value.type.tensor_type.elem_type
        else:
            types[value.name] = TensorProto.STRING  # A sequence or an optional is no tensor of numbers.
    return types | {tensor.name: tensor.data_type for tensor in graph.initializer}


def hidden(model: onnx.ModelProto) -> tuple[Site, ...]:
    """Nodes of the outer graph inside which a float tensor is computed that no run can show."""
    if not control_flow(model):
        return ()
    known = onnx.ModelProto()
    known.CopyFrom(model)
    learn_types(known)
    return tuple(
        site(node) for node in known.graph.node if any(_hides(graph, node.op_type == "If") for graph in subgraphs(node))
    )


def containing(model: onnx.ModelProto, operators: Container[str]) -> tuple[Site, ...]:
    """Nodes of the outer graph inside which one of these operators stands."""
    return tuple(
        site(node)
        for node in model.graph.node
        if any(inner.op_type in operators for graph in subgraphs(node) for inner in all_nodes(graph))
    )


def weights_inside(model: onnx.ModelProto) -> Iterator[tuple[Site, onnx.TensorProto]]:
    """Weights inside control flow, and what Constant nodes hold there, each by its name and with the outer node."""
    for node in model.graph.node:
        for graph in subgraphs(node) if node.attribute else ():
            for weight in _weights(graph):
                yield site(node), weight


def _weights(graph: onnx.GraphProto) -> Iterator[onnx.TensorProto]:
    yield from graph.initializer
    for node in graph.node:
        value = attributes(node).get("value") if node.op_type == "Constant" else None
        if value is not None:
            named = onnx.TensorProto()
            named.CopyFrom(value)
            named.name = node.output[0]
            yield named
        for inner in subgraphs(node) if node.attribute else ():
            yield from _weights(inner)


def _hides(graph: onnx.GraphProto, branch: bool) -> bool:
    """Whether a tensor inside is neither moved from one that is shown nor, in a branch of an If, its output."""
    types = element_types(graph)
    shown = {value.name for value in graph.output} if branch else set()
    for node in graph.node:
        if any(_hides(inner, False) for inner in subgraphs(node)):
            return True
        plain = node.domain in ("", "ai.onnx") and node.op_type in (*MOVES, "Constant")
        if not plain and any(types[name] in (0, *FLOATS) for name in node.output if name and name not in shown):
            return True
    return False


def _copy(source: onnx.GraphProto, target: onnx.GraphProto) -> None:
    for found, node in zip(source.node, target.node, strict=True):
        for inner, own in zip(subgraphs(found), subgraphs(node), strict=True):
            del own.value_info[:]
            own.value_info.extend(inner.value_info)
            for known, value in zip((*inner.input, *inner.output), (*own.input, *own.output), strict=True):
                _complete(value, known)
            _copy(inner, own)


def _complete(value: onnx.ValueInfoProto, known: onnx.ValueInfoProto) -> None:
    """Say the element type of what a graph is given or gives, where none is said; shapes are the runtime's to find."""
    said = value.type.WhichOneof("value")
    if said not in (None, "tensor_type") or value.type.tensor_type.elem_type:
        return
    if known.type.HasField("tensor_type"):
        value.type.tensor_type.elem_type = known.type.tensor_type.elem_type
