"""Inputs at the far ends: a model above 2 GB, one of 6,000 nodes, 100,000 samples of a network that costs nothing.

    python -m tests.bench.extremes large FOLDER

Weights are written one by one, so that building a model takes the memory of one weight and not of all.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from tests.bench.files import DATA, INPUT, MODEL

__all__ = ["EXTREMES", "WEIGHTS", "write"]

WEIGHTS = "model.weights"
OPSET = helper.make_opsetid("", 17)


def large(folder: Path, width: int, samples: int) -> None:
    """Three transformer blocks, their weights beside the model: 36 × width² × 4 bytes, 2.42 GB at 4,096."""
    builder = _Outside(folder / WEIGHTS)
    last = INPUT
    for block in range(3):
        last = _attention(builder, last, f"block{block}/attention", width)
        last = _feed_forward(builder, last, f"block{block}/mlp", width)
    builder.file.close()
    _save(folder, builder.nodes, builder.weights, last, (16, width), (16, width))
    _data(folder, samples, samples, (16, width))


def deep(folder: Path, nodes: int, samples: int) -> None:
    """A chain of so many nodes, additions and hyperbolic tangents in turns, on 16 numbers."""
    random = np.random.default_rng(0)
    built, weights, last = [], [], INPUT
    for index in range(nodes):
        name = f"t{index}"
        if index % 2:
            built.append(helper.make_node("Tanh", [last], [name], name=f"/n{index}"))
        else:
            drawn = random.standard_normal(16).astype(np.float32)
            weights.append(numpy_helper.from_array(drawn, f"w{index}"))
            built.append(helper.make_node("Add", [last, f"w{index}"], [name], name=f"/n{index}"))
        last = name
    _save(folder, built, weights, last, (16,), (16,))
    _data(folder, samples, samples, (16,))


def many(folder: Path, shard: int, samples: int) -> None:
    """A perceptron 4-8-3, and so many samples in shards of so many."""
    random = np.random.default_rng(0)
    shapes = {"w1": (4, 8), "b1": (8,), "w2": (8, 3), "b2": (3,)}
    weights = [
        numpy_helper.from_array(random.standard_normal(shape).astype(np.float32), name)
        for name, shape in shapes.items()
    ]
    nodes = [
        helper.make_node("Gemm", [INPUT, "w1", "b1"], ["hidden"], name="/first"),
        helper.make_node("Relu", ["hidden"], ["active"], name="/relu"),
        helper.make_node("Gemm", ["active", "w2", "b2"], ["scores"], name="/second"),
    ]
    _save(folder, nodes, weights, "scores", (4,), (3,))
    _data(folder, samples, shard, (4,))


EXTREMES: dict[str, Callable[[Path, int, int], None]] = {"large": large, "deep": deep, "many": many}


class _Outside:
    """Nodes, and weights that lie in a file beside the model."""

    def __init__(self, path: Path) -> None:
        self.file = path.open("wb")
        self.location = path.name
        self.random = np.random.default_rng(0)
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []

    def weight(self, name: str, shape: tuple[int, int]) -> str:
        """A weight that keeps the scale of what it is multiplied with."""
        tensor = onnx.TensorProto(name=name, data_type=TensorProto.FLOAT, dims=shape)
        tensor.data_location = onnx.TensorProto.EXTERNAL
        drawn = self.random.standard_normal(shape, dtype=np.float32) * np.float32(shape[0] ** -0.5)
        offset = self.file.tell()
        self.file.write(drawn.data)
        for key, value in (("location", self.location), ("offset", offset), ("length", drawn.nbytes)):
            tensor.external_data.add(key=key, value=str(value))
        self.weights.append(tensor)
        return name

    def inside(self, name: str, value: object) -> str:
        """A small constant."""
        self.weights.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def add(self, op: str, inputs: Sequence[str], name: str, **attributes: Any) -> str:
        """A node and what it makes, of one name."""
        self.nodes.append(helper.make_node(op, list(inputs), [name], name=f"/{name}", **attributes))
        return name


def _norm(graph: _Outside, tensor: str, name: str, width: int) -> str:
    scale = graph.inside(f"{name}/scale", np.ones(width, np.float32))
    return graph.add("LayerNormalization", [tensor, scale], name)


def _attention(graph: _Outside, tensor: str, name: str, width: int) -> str:
    normed = _norm(graph, tensor, f"{name}/norm", width)
    heads = width // 128
    split = graph.inside(f"{name}/split", np.array([0, 16, heads, width // heads], np.int64))
    parts = {}
    for part in "qkv":
        product = graph.add("MatMul", [normed, graph.weight(f"{name}/w{part}", (width, width))], f"{name}/{part}")
        shaped = graph.add("Reshape", [product, split], f"{name}/{part}/heads")
        turned = [0, 2, 3, 1] if part == "k" else [0, 2, 1, 3]
        parts[part] = graph.add("Transpose", [shaped], f"{name}/{part}/turned", perm=turned)
    product = graph.add("MatMul", [parts["q"], parts["k"]], f"{name}/products")
    factor = graph.inside(f"{name}/factor", np.float32((width / heads) ** -0.5))
    scores = graph.add("Softmax", [graph.add("Mul", [product, factor], f"{name}/scaled")], f"{name}/scores", axis=-1)
    mixed = graph.add("MatMul", [scores, parts["v"]], f"{name}/mixed")
    turned_back = graph.add("Transpose", [mixed], f"{name}/back", perm=[0, 2, 1, 3])
    joined = graph.add(
        "Reshape", [turned_back, graph.inside(f"{name}/join", np.array([0, 16, width], np.int64))], f"{name}/joined"
    )
    out = graph.add("MatMul", [joined, graph.weight(f"{name}/wo", (width, width))], f"{name}/out")
    return graph.add("Add", [tensor, out], f"{name}/sum")


def _feed_forward(graph: _Outside, tensor: str, name: str, width: int) -> str:
    normed = _norm(graph, tensor, f"{name}/norm", width)
    wide = graph.add("MatMul", [normed, graph.weight(f"{name}/up", (width, 4 * width))], f"{name}/wide")
    active = graph.add("Relu", [wide], f"{name}/active")
    out = graph.add("MatMul", [active, graph.weight(f"{name}/down", (4 * width, width))], f"{name}/out")
    return graph.add("Add", [tensor, out], f"{name}/sum")


def _save(
    folder: Path,
    nodes: Sequence[onnx.NodeProto],
    weights: Sequence[onnx.TensorProto],
    output: str,
    given: tuple[int, ...],
    gives: tuple[int, ...],
) -> None:
    fed = helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, ["N", *given])
    made = helper.make_tensor_value_info(output, TensorProto.FLOAT, ["N", *gives])
    graph = helper.make_graph(list(nodes), "bench", [fed], [made], list(weights))
    model = helper.make_model(graph, opset_imports=[OPSET], ir_version=8)
    (folder / MODEL).write_bytes(model.SerializeToString())


def _data(folder: Path, samples: int, shard: int, shape: tuple[int, ...]) -> None:
    random = np.random.default_rng(1)
    (folder / DATA).mkdir()
    for index, start in enumerate(range(0, samples, shard)):
        drawn = random.standard_normal((min(shard, samples - start), *shape), dtype=np.float32)
        np.savez(folder / DATA / f"part-{index:04d}.npz", input=drawn)


def write(kind: str, folder: Path, size: int, samples: int) -> None:
    """Write a model and its data into a new folder.

    Args:
        kind: of `EXTREMES`.
        folder: made here.
        size: width of the large model, nodes of the deep one, samples in a shard of the many.
        samples: in all.
    """
    folder.mkdir(parents=True)
    EXTREMES[kind](folder, size, samples)


def main() -> None:
    """Write one of the extremes to a folder."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("kind", choices=EXTREMES)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--size", type=int, required=True, help="see write()")
    parser.add_argument("--samples", type=int, required=True)
    asked = parser.parse_args()
    write(asked.kind, asked.folder, asked.size, asked.samples)


if __name__ == "__main__":
    main()
