"""Models and data for the benchmarks, built in code: real shapes and costs, random weights, values that stay finite.

Weights are drawn as He et al. (arXiv:1502.01852) draw them, so that activations keep their scale through any depth;
BatchNorm then has a mean near 0 and a variance near 1, as after training.

    python -m tests.bench.networks resnet50 FOLDER --samples 256
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from tests.bench.files import DATA, INPUT, MODEL

__all__ = ["NETWORKS", "Graph", "maps", "resnet50", "sixty", "write"]


class Graph:
    """A graph under construction: every method adds one operation to `tensor` and returns its result's name."""

    def __init__(self, seed: int = 0) -> None:
        self.random = np.random.default_rng(seed)
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []

    def add(self, op: str, *tensors: str, **attributes: Any) -> str:
        """Add a node of type `op`."""
        name = f"{op.lower()}{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, list(tensors), [name], name=f"/{name}", **attributes))
        return name

    def weight(self, value: NDArray[np.float64]) -> str:
        """Add an initializer."""
        name = f"weight{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(value.astype(np.float32), name))
        return name

    def conv(self, tensor: str, channels: tuple[int, int], kernel: int, stride: int = 1) -> str:
        """Convolution from channels[0] to channels[1], padded to keep the size, then BatchNorm."""
        inside, outside = channels
        scale = np.sqrt(2 / (inside * kernel * kernel))
        drawn = self.random.standard_normal((outside, inside, kernel, kernel)) * scale
        steps, pads = [stride, stride], [kernel // 2] * 4
        convolved = self.add("Conv", tensor, self.weight(drawn), strides=steps, pads=pads, kernel_shape=[kernel] * 2)
        near = [1 + 0.1 * self.random.standard_normal(outside) for _ in range(2)]
        around = [0.1 * self.random.standard_normal(outside) for _ in range(2)]
        parameters = (near[0], around[0], around[1], np.abs(near[1]) + 0.5)
        return self.add("BatchNormalization", convolved, *map(self.weight, parameters))

    def model(self, outputs: Mapping[str, list[int]], size: int, channels: int = 3) -> onnx.ModelProto:
        """The finished model: input (N, channels, size, size), the named tensors as outputs, batch free."""
        graph = helper.make_graph(
            self.nodes,
            "bench",
            [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, ["N", channels, size, size])],
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", *shape]) for name, shape in outputs.items()],
            self.weights,
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        onnx.checker.check_model(model, full_check=True)
        return model


def resnet50(size: int = 224) -> onnx.ModelProto:
    """ResNet-50: 53 convolutions, 25.6 million weights, 1,000 classes."""
    graph = Graph()
    last = graph.add("Relu", graph.conv(INPUT, (3, 64), 7, 2))
    last = graph.add("MaxPool", last, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    inside = 64
    for stage, (width, blocks) in enumerate(((64, 3), (128, 4), (256, 6), (512, 3))):
        for block in range(blocks):
            stride = 2 if stage and not block else 1
            last = _bottleneck(graph, last, (inside, width), stride)
            inside = 4 * width
    last = graph.add("Flatten", graph.add("GlobalAveragePool", last))
    classes = graph.random.standard_normal((1000, inside)) * np.sqrt(1 / inside)
    last = graph.add("Gemm", last, graph.weight(classes), graph.weight(np.zeros(1000)), transB=1)
    return graph.model({last: [1000]}, size)


def _bottleneck(graph: Graph, tensor: str, channels: tuple[int, int], stride: int) -> str:
    inside, width = channels
    last = graph.add("Relu", graph.conv(tensor, (inside, width), 1))
    last = graph.add("Relu", graph.conv(last, (width, width), 3, stride))
    last = graph.conv(last, (width, 4 * width), 1)
    shortcut = tensor if inside == 4 * width else graph.conv(tensor, (inside, 4 * width), 1, stride)
    # The sum of two halves has the scale of each; unscaled, it would double with every block.
    half = graph.weight(np.array(0.7))
    return graph.add("Relu", graph.add("Add", graph.add("Mul", last, half), graph.add("Mul", shortcut, half)))


def sixty(size: int = 56, channels: int = 64) -> onnx.ModelProto:
    """60 convolutions, each with BatchNorm and ReLU: 180 tensors of 0.8 MB per sample as they stand."""
    graph = Graph()
    last = graph.add("Relu", graph.conv(INPUT, (3, channels), 3))
    for _ in range(59):
        last = graph.add("Relu", graph.conv(last, (channels, channels), 3))
    return graph.model({last: [channels, size, size]}, size)


def maps(size: int = 64) -> onnx.ModelProto:
    """A small network whose inputs (49 kB) and outputs (66 kB) per sample would show if anything kept them."""
    graph = Graph()
    hidden = graph.add("Relu", graph.conv(INPUT, (3, 16), 3))
    hidden = graph.add("Relu", graph.conv(hidden, (16, 16), 3))
    mapped = graph.conv(hidden, (16, 4), 1)
    pooled = graph.add("Flatten", graph.add("GlobalAveragePool", hidden))
    return graph.model({mapped: [4, size, size], pooled: [16]}, size)


NETWORKS: dict[str, Callable[[int], onnx.ModelProto]] = {"resnet50": resnet50, "sixty": sixty, "maps": maps}


def write(network: str, folder: Path, size: int, samples: int, shard: int) -> None:
    """Write the model, and `samples` samples of noise in .npz shards of `shard` samples."""
    model = NETWORKS[network](size)
    (folder / DATA).mkdir(parents=True)
    onnx.save(model, folder / MODEL)
    random = np.random.default_rng(1)
    for index, start in enumerate(range(0, samples, shard)):
        drawn = random.standard_normal((min(shard, samples - start), 3, size, size), dtype=np.float32)
        np.savez(folder / DATA / f"part-{index:04d}.npz", input=drawn)


def main() -> None:
    """Write one network and its data to a folder."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("network", choices=NETWORKS)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--size", type=int, required=True, help="height and width of the input")
    parser.add_argument("--samples", type=int, required=True)
    parser.add_argument("--shard", type=int, default=64, help="samples per shard")
    asked = parser.parse_args()
    write(asked.network, asked.folder, asked.size, asked.samples, asked.shard)


if __name__ == "__main__":
    main()
