"""Which node of a valid model ONNX Runtime has no kernel for, where its message does not say: each is asked alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from assay_runner.models.outline import read_outline, type_called

if TYPE_CHECKING:
    import onnx


@dataclass(frozen=True)
class Culprit:
    """A node that ONNX Runtime refuses.

    Attributes:
        name: of the node; of a nameless one, its operator and first output.
        op: its operator.
        types: element types of its inputs, as far as they are known.
    """

    name: str
    op: str
    types: tuple[str, ...]


def culprit(path: Path, reason: str) -> Culprit | None:
    """The first node that ONNX Runtime refuses in these words when it stands alone; None where none does.

    Args:
        path: of a model that it refuses.
        reason: part of what it says.
    """
    import onnx

    model = onnx.ModelProto()
    model.CopyFrom(read_outline(path))
    try:
        model = onnx.shape_inference.infer_shapes(model)
    except Exception:  # It raises what it likes; what is declared has to do.
        model.CopyFrom(read_outline(path))
    asked: set[bytes] = set()
    for node, types in _nodes(model.graph, {}):
        told = {name: types.get(name) or onnx.TensorProto.FLOAT for name in node.input}
        probe = onnx.helper.make_model(
            alone(node, told), opset_imports=list(model.opset_import), ir_version=model.ir_version
        )
        key = probe.SerializeToString()
        if key not in asked and reason in _refused(key):
            name = node.name or f"{node.op_type}:{next(filter(None, node.output), '')}"
            known = (types[name] for name in node.input if types.get(name))
            said = (type_called(kind).lower() for kind in known)
            return Culprit(name, node.op_type, tuple(dict.fromkeys(said)))
        asked.add(key)
    return None


def _nodes(graph: onnx.GraphProto, outer: Mapping[str, int]) -> Iterator[tuple[onnx.NodeProto, Mapping[str, int]]]:
    """Nodes that hold no graphs, those inside control flow too, each with the element types of what it may read."""
    types = {**outer, **{tensor.name: tensor.data_type for tensor in graph.initializer}}
    for value in (*graph.input, *graph.value_info, *graph.output):
        types[value.name] = value.type.tensor_type.elem_type
    for node in graph.node:
        inner = [attribute.g for attribute in node.attribute if attribute.HasField("g")]
        if not inner:
            yield node, types
        for each in inner:
            yield from _nodes(each, types)


def alone(node: onnx.NodeProto, types: Mapping[str, int], more: Iterable[str] = ()) -> onnx.GraphProto:
    """A graph of the node alone; its names are its places, so that nodes alike make graphs alike.

    Args:
        node: of any graph.
        types: element types of its inputs and of `more`.
        more: names that it reads from within graphs of its own, which stay as they are.
    """
    import onnx

    copy = onnx.NodeProto()
    copy.CopyFrom(node)
    copy.name = "alone"
    fed = []
    for place, name in enumerate(node.input):
        if name:
            copy.input[place] = f"assay__i{place}"
            fed.append(onnx.helper.make_tensor_value_info(copy.input[place], types[name], None))
    for place, name in enumerate(node.output):
        copy.output[place] = f"assay__o{place}" if name else ""
    fed += [onnx.helper.make_tensor_value_info(name, types[name], None) for name in more]
    made = [onnx.ValueInfoProto(name=name) for name in copy.output if name]
    return onnx.helper.make_graph([copy], "alone", fed, made)


def _refused(model: bytes) -> str:
    """What ONNX Runtime says against a model; empty where it takes it."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    try:
        onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    # The runtime's own exception classes have no public base but Exception.
    except Exception as error:
        return " ".join(str(error).split())
    return ""
