"""Which outputs of a model hold a score per class, and what one that is asked for holds in their place."""

from __future__ import annotations

from collections.abc import Iterable

import onnx

from assay_runner.data.rows import is_float_type
from assay_runner.graphs.documents import load_outline
from assay_runner.models.loading import LoadedModel
from assay_runner.tensors import TensorSpec


def instead_of(name: str, model: LoadedModel) -> str:
    """The way out where an output gives no scores, as the end of a sentence: the outputs that do, or that none does."""
    others = [spec.name for spec in model.outputs if spec.name != name and _scores(spec)]
    if others:
        return f"name in labelAccuracy.output the one with a score per class: {' or '.join(others)}"
    if _zipped(model):
        return (
            "no output has a score per class: export the model without ZipMap (skl2onnx: options={'zipmap': False}), "
            "and name its output of probabilities in labelAccuracy.output"
        )
    return "no output of the model has a score per class, so leave labelAccuracy out, or export the model with one"


def no_numbers(name: str, model: LoadedModel) -> str:
    """What an output holds that is no tensor of numbers, as a predicate; empty where it is one."""
    graph = load_outline(model.path).graph
    kind = next((value.type for value in graph.output if value.name == name), onnx.TypeProto())
    if kind.HasField("tensor_type"):
        return "holds strings" if kind.tensor_type.elem_type == onnx.TensorProto.STRING else ""
    if kind.HasField("sequence_type"):
        inner = kind.sequence_type.elem_type
        return "is a sequence of dictionaries" if inner.HasField("map_type") else "is a sequence"
    return "is a dictionary" if kind.HasField("map_type") else "is no tensor"


def _scores(spec: TensorSpec) -> bool:
    """Whether it may be (samples, classes), or that with axes of one between them."""
    inner = spec.shape[1:]
    fits = bool(inner) and inner[-1] != 1 and all(not isinstance(size, int) or size == 1 for size in inner[:-1])
    return fits and is_float_type(spec.dtype)


def _zipped(model: LoadedModel) -> bool:
    nodes: Iterable[onnx.NodeProto] = load_outline(model.path).graph.node
    return any(node.op_type == "ZipMap" for node in nodes)
