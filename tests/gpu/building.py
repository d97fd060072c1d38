"""Plans built here by plain TensorRT, of models small enough to take no time."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

__all__ = ["BEST", "WIDTH", "built", "half"]

WIDTH, BEST = 64, 16
"""Elements of a row of `half`; samples of the batch that plans of `built` are best at."""


def built(graph: onnx.ModelProto, target: Path) -> Path:
    """A plan, by TensorRT's own builder in no time: batches of 1 to 64 samples, best at 16."""
    import tensorrt as trt

    logger = trt.Logger(trt.Logger.ERROR)
    builder = trt.Builder(logger)
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(network, logger)
    assert parser.parse(graph.SerializeToString()), str(parser.get_error(0))
    config, profile = builder.create_builder_config(), builder.create_optimization_profile()
    config.builder_optimization_level = 0
    for index in range(network.num_inputs):
        tensor = network.get_input(index)
        rest = tuple(tensor.shape)[1:]
        profile.set_shape(tensor.name, (1, *rest), (BEST, *rest), (64, *rest))
    config.add_optimization_profile(profile)
    target.write_bytes(bytes(builder.build_serialized_network(network, config)))
    return target


def half() -> onnx.ModelProto:
    """x (N, 64) to y, its product with a matrix as FP16: not every bit of a wider type is one of its own."""
    weights = np.random.default_rng(0).standard_normal((WIDTH, WIDTH)).astype(np.float32)
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["p"]),
        helper.make_node("Cast", ["p"], ["y"], to=TensorProto.FLOAT16),
    ]
    shape: list[str | int | None] = ["N", WIDTH]
    graph = helper.make_graph(
        nodes, "half", [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT16, shape)], [numpy_helper.from_array(weights, "w")],
    )  # fmt: skip
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
