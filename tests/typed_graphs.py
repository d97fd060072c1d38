"""A graph whose types are its precision: every node computed alone in FP32, what it makes rounded to its type."""

from __future__ import annotations

from collections.abc import Mapping

import ml_dtypes
import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from assay_runner.tensors import Array

__all__ = ["computed"]

HALVES = (np.dtype(np.float16), np.dtype(ml_dtypes.bfloat16))


def computed(model: onnx.ModelProto, inputs: Mapping[str, Array]) -> dict[str, Array]:
    """Every tensor, in the order of the nodes."""
    found = {tensor.name: np.asarray(numpy_helper.to_array(tensor)) for tensor in model.graph.initializer}
    found |= inputs
    for node in model.graph.node:
        with np.errstate(over="ignore"):
            made = cast(node, found) if node.op_type == "Cast" else rounded(alone(model, node, found), node, found)
        found |= dict(zip((name for name in node.output if name), made, strict=True))
    return found


def cast(node: onnx.NodeProto, found: Mapping[str, Array]) -> list[Array]:
    return [found[node.input[0]].astype(helper.tensor_dtype_to_np_dtype(node.attribute[0].i))]


def alone(model: onnx.ModelProto, node: onnx.NodeProto, found: Mapping[str, Array]) -> list[Array]:
    """What one node makes in FP32."""
    halves = (TensorProto.FLOAT16, TensorProto.BFLOAT16)
    wide = {name: found[name] for name in node.input if name}
    for name, array in wide.items():
        if helper.np_dtype_to_tensor_dtype(array.dtype) in halves:
            wide[name] = array.astype(np.float32)
    given = [
        helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape)
        for name, array in wide.items()
    ]
    made = [helper.make_empty_tensor_value_info(name) for name in node.output if name]
    graph = helper.make_graph([node], "alone", given, made)
    proto = helper.make_model(graph, opset_imports=model.opset_import, ir_version=model.ir_version)
    session = onnxruntime.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    return list(session.run(None, wide))


def rounded(made: list[Array], node: onnx.NodeProto, found: Mapping[str, Array]) -> list[Array]:
    """In the half type that the node reads, if it reads one."""
    read = (found[name].dtype for name in node.input if name)
    half = next((kind for kind in read if kind in HALVES), None)
    return [array.astype(half) if half and array.dtype == np.float32 else array for array in made]
