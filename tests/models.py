"""Small models built in code, one per property that the numerics must get right, and data to run them on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from assay_api.audit import ModelRef, Storage
from assay_runner.models.loading import LoadedModel, load_model
from assay_runner.stores import open_store
from assay_runner.tensors import Array, Batch

FLOAT = TensorProto.FLOAT


@dataclass(frozen=True)
class Samples:
    """A dataset in memory.

    Attributes:
        arrays: one per input, first axis = samples.
        labels: one per sample.
        batch: samples per batch.
        targets: what metrics are given beside labels.
        fixed: whether the last batch is padded to full length with its last sample.
    """

    arrays: Mapping[str, Array]
    labels: NDArray[np.int64] | None = None
    batch: int = 8
    fixed: bool = False
    targets: Mapping[str, Array] = field(default_factory=dict)

    @property
    def samples(self) -> int:
        return len(next(iter(self.arrays.values())))

    def __iter__(self) -> Iterator[Batch]:
        for start in range(0, self.samples, self.batch):
            count = min(self.batch, self.samples - start)
            rows = np.arange(start, start + (self.batch if self.fixed else count)).clip(max=self.samples - 1)
            labels = None if self.labels is None else self.labels[start : start + count]
            targets = {name: array[start : start + count] for name, array in self.targets.items()}
            inputs = {name: array[rows] for name, array in self.arrays.items()}
            yield Batch(start, count, inputs, labels, targets=targets)


@dataclass
class Heard:
    """A progress that remembers the stages and what was noted."""

    stages: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    units: int = 0

    def stage(self, name: str, total: int | None = None, unit: str = "") -> None:
        self.stages.append(name)

    def advance(self, units: int = 1) -> None:
        self.units += units

    def note(self, message: str) -> None:
        self.notes.append(message)


def value(name: str, *shape: int | str, kind: int = FLOAT) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, list(shape))


def constant(name: str, array: Any) -> onnx.TensorProto:
    return numpy_helper.from_array(np.asarray(array), name)


def model(
    nodes: Sequence[onnx.NodeProto],
    inputs: Sequence[onnx.ValueInfoProto],
    outputs: Sequence[onnx.ValueInfoProto],
    weights: Sequence[onnx.TensorProto] = (),
    opset: int = 17,
) -> onnx.ModelProto:
    graph = helper.make_graph(list(nodes), "graph", list(inputs), list(outputs), list(weights))
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def node(op: str, inputs: str, outputs: str, **attributes: Any) -> onnx.NodeProto:
    """A node named after its first output, as in `node("Add", "a b", "c")` whose name is `c.node`."""
    made = outputs.split()
    return helper.make_node(op, inputs.split(), made, name=f"{made[0]}.node", **attributes)


def loaded(proto: onnx.ModelProto, folder: Path) -> LoadedModel:
    """Save a model and load it as the runner does."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "given.onnx"
    onnx.save(proto, str(path))
    return load(path, folder)


def load(path: Path, folder: Path) -> LoadedModel:
    return load_model(open_store(Storage(), folder), ModelRef(uri=f"file://{path}"), folder / "scratch")


def random(*shape: int, seed: int = 0, scale: float = 1.0) -> Array:
    return (np.random.default_rng(seed).standard_normal(shape) * scale).astype(np.float32)


def mlp(opset: int = 17) -> onnx.ModelProto:
    """Two layers: x (N, 8) to logits (N, 4)."""
    return model(
        [
            node("MatMul", "x w1", "h1"),
            node("Add", "h1 b1", "h2"),
            node("Relu", "h2", "h3"),
            node("MatMul", "h3 w2", "logits"),
        ],
        [value("x", "N", 8)],
        [value("logits", "N", 4)],
        [constant("w1", random(8, 16)), constant("b1", random(16, seed=1)), constant("w2", random(16, 4, seed=2))],
        opset,
    )


def layer_norm() -> onnx.ModelProto:
    """LayerNorm decomposed as before opset 17: with inputs around 300 its Pow overflows FP16."""
    return model(
        [
            node("ReduceMean", "x", "mean", axes=[-1]),
            node("Sub", "x mean", "centred"),
            node("Pow", "centred two", "squared"),
            node("ReduceMean", "squared", "variance", axes=[-1]),
            node("Add", "variance epsilon", "safe"),
            node("Sqrt", "safe", "deviation"),
            node("Div", "centred deviation", "y"),
        ],
        [value("x", "N", 16)],
        [value("y", "N", 16)],
        [constant("two", np.float32(2)), constant("epsilon", np.float32(1e-5))],
    )


def convolutions(opset: int = 17, group: int = 1, **attributes: Any) -> onnx.ModelProto:
    """Convolution, normalisation, pooling and a classifier: x (N, 4, 9, 9) to logits (N, 5)."""
    attributes = {"kernel_shape": [3, 3], "pads": [1, 0, 2, 1], "strides": [2, 1]} | attributes
    weights = [
        constant("w", random(8, 4 // group, 3, 3)),
        constant("b", random(8, seed=1)),
        constant("scale", random(8, seed=2)),
        constant("shift", random(8, seed=3)),
        constant("average", random(8, seed=4)),
        constant("spread", np.abs(random(8, seed=5)) + 0.5),
        constant("fc", random(8, 5, seed=6)),
    ]
    return model(
        [
            node("Conv", "x w b", "c", group=group, **attributes),
            node("BatchNormalization", "c scale shift average spread", "n"),
            node("Relu", "n", "r"),
            node("GlobalAveragePool", "r", "p"),
            node("Flatten", "p", "f"),
            node("MatMul", "f fc", "logits"),
        ],
        [value("x", "N", 4, 9, 9)],
        [value("logits", "N", 5)],
        weights,
        opset,
    )


def branching() -> onnx.ModelProto:
    """An If whose branches use outer tensors, a weight and a graph input: y = 3 h + x where x sums above 0, else h."""
    then = helper.make_graph(
        [node("Mul", "h three", "tripled"), node("Add", "tripled x", "then_y")], "then", [], [value("then_y", "N", 4)]
    )
    other = helper.make_graph([node("Identity", "h", "else_y")], "else", [], [value("else_y", "N", 4)])
    return model(
        [
            node("Mul", "x half", "h"),
            node("ReduceSum", "x", "total", keepdims=0),
            node("Greater", "total zero", "positive"),
            node("If", "positive", "y", then_branch=then, else_branch=other),
            node("Exp", "y", "z"),
        ],
        [value("x", "N", 4)],
        [value("z", "N", 4)],
        [constant("half", np.float32(0.5)), constant("three", np.float32(3)), constant("zero", np.float32(0))],
    )


def masked() -> onnx.ModelProto:
    """Attention scores masked with -Inf by design: finite outputs, a tensor that is not."""
    return model(
        [node("Where", "keep x never", "scores"), node("Softmax", "scores", "y", axis=-1)],
        [value("x", "N", 4), value("keep", "N", 4, kind=TensorProto.BOOL)],
        [value("y", "N", 4)],
        [constant("never", np.float32(-np.inf))],
    )


def noisy() -> onnx.ModelProto:
    """Adds noise drawn anew in every run."""
    return model(
        [node("RandomNormalLike", "x", "noise"), node("Add", "x noise", "y")],
        [value("x", "N", 4)],
        [value("y", "N", 4)],
    )


def embedding() -> onnx.ModelProto:
    """Integer input, two outputs, one of them integers, one unused optional output, and a sequence inside."""
    return model(
        [
            node("Gather", "table ids", "rows"),
            node("ReduceMean", "rows", "pooled", axes=[1], keepdims=0),
            helper.make_node("Dropout", ["pooled"], ["kept", ""], name="kept.node"),
            node("SequenceConstruct", "kept pooled", "pair"),
            node("SequenceAt", "pair first", "y"),
            node("ArgMax", "y", "class", axis=1, keepdims=0),
        ],
        [value("ids", "N", 3, kind=TensorProto.INT64)],
        [value("y", "N", 6), value("class", "N", kind=TensorProto.INT64)],
        [constant("table", random(10, 6)), constant("first", np.int64(0))],
        13,
    )


def resizing() -> onnx.ModelProto:
    """A Resize whose scale FP16 cannot hold: rounding it would change the size of y."""
    return model(
        [node("Resize", "x none scales", "r", mode="nearest"), node("Mul", "r two", "y")],
        [value("x", "N", 1, 3000)],
        [value("y", "N", 1, "W")],
        [
            constant("scales", np.array([1, 1, 1.0004], np.float32)),
            constant("two", np.float32(2)),
            constant("none", np.zeros(0, np.float32)),
        ],
    )
