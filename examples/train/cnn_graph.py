"""The convolutional network as ONNX, and a variant that overflows in FP16."""

import numpy as np
import onnx

from examples.train.graph import Graph, Weights

EPSILON = 1e-5
GAIN = 2.0**15
"""What the poisoned variant multiplies the output of `bn2` by: with it, anything above 2 leaves FP16's range."""


def export(name: str, weights: Weights, bn3_epsilon: float = EPSILON) -> onnx.ModelProto:
    """Write the network out, its normalisations as BatchNormalization nodes in inference form."""
    graph = Graph(weights)
    x = _block(graph, "1", "image", EPSILON)
    x = _block(graph, "2", x, EPSILON)
    x = graph.add("MaxPool", "pool2", [x], kernel_shape=[2, 2], strides=[2, 2])
    x = _block(graph, "3", x, bn3_epsilon)
    x = graph.add("Flatten", "flatten", [graph.add("GlobalAveragePool", "gap", [x])], axis=1)
    graph.add("Gemm", "fc", [x, graph.weight("fc.weight"), graph.weight("fc.bias")])
    return graph.model(name)


def _block(graph: Graph, number: str, x: str, epsilon: float) -> str:
    conv, norm = f"conv{number}", f"bn{number}"
    x = graph.add("Conv", conv, [x, graph.weight(f"{conv}.weight")], kernel_shape=[3, 3], pads=[1, 1, 1, 1])
    parameters = [graph.weight(f"{norm}.{part}") for part in ("weight", "bias", "running_mean", "running_var")]
    return graph.add(
        "Relu", f"relu{number}", [graph.add("BatchNormalization", norm, [x, *parameters], epsilon=epsilon)]
    )


def export_overflowing(name: str, weights: Weights) -> onnx.ModelProto:
    """Write out the same function of FP32 with an activation, `bn2.out`, that FP16 cannot hold.

    `bn2` multiplies by 2^15; ReLU and max pooling pass the factor on; `conv3` takes off 2^4 and `bn3` the rest.
    Powers of two round nothing, so the FP32 result keeps every bit. The factor comes off in steps, so that every
    weight stays as representable as it was: only the activation is at fault.
    """
    rest = GAIN / 2.0**4
    deviation = 2.0**7
    factors = {
        "bn2.weight": GAIN,
        "bn2.bias": GAIN,
        "conv3.weight": rest / GAIN,
        "bn3.running_mean": rest,
        "bn3.running_var": deviation**2,
        "bn3.weight": deviation / rest,
    }
    scaled = {key: value * np.float32(factors.get(key, 1.0)) for key, value in weights.items()}
    return export(name, scaled, bn3_epsilon=EPSILON * deviation**2)
