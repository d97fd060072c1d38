"""A cut graph made ready for a builder that wants every type and shape said: inputs in FP32, outputs typed."""

from __future__ import annotations

from collections.abc import Mapping

import onnx
import onnx.shape_inference
from onnx import TensorProto, helper

from assay_runner.graphs.documents import fresh, rename_uses


def element_types(model: onnx.ModelProto) -> dict[str, int]:
    """`TensorProto` element type of every tensor that ONNX's own inference knows; no runtime need have the kernels."""
    graph = onnx.shape_inference.infer_shapes(model).graph
    values = (*graph.input, *graph.value_info, *graph.output)
    found = {value.name: value.type.tensor_type.elem_type for value in values if value.type.HasField("tensor_type")}
    return {name: kind for name, kind in found.items() if kind}


def fed_in_fp32(model: onnx.ModelProto, types: Mapping[str, int], shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Let a model take floating-point inputs in FP32, cast to what its nodes want; fix the shapes of its inputs.

    Golden's tensors are FP32 whatever the candidate computes in, so its segments take them as they are.

    Args:
        model: changed in place.
        types: `TensorProto` element type of the inputs, as its nodes want them.
        shapes: of its inputs.
    """
    name, inner = fresh(model), dict[str, str]()
    for value in model.graph.input:
        kind = types.get(value.name, TensorProto.FLOAT)
        if kind in (TensorProto.FLOAT16, TensorProto.BFLOAT16, TensorProto.DOUBLE):
            inner[value.name] = name(f"{value.name}__cast")
            kind = TensorProto.FLOAT
        if value.name in shapes:
            value.CopyFrom(helper.make_tensor_value_info(value.name, kind, shapes[value.name]))
    for node in model.graph.node:
        rename_uses(node, inner)
    for outer, inside in reversed(inner.items()):
        model.graph.node.insert(0, helper.make_node("Cast", [outer], [inside], name=inside, to=types[outer]))


def typed_outputs(model: onnx.ModelProto, types: Mapping[str, int]) -> None:
    """Say the element types of a model's outputs, in place; FP32 where nothing is known."""
    for value in model.graph.output:
        value.CopyFrom(helper.make_tensor_value_info(value.name, types.get(value.name, TensorProto.FLOAT), None))
