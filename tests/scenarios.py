"""Models that break in reduced precision in the ways that real ones have, each with the data that breaks it.

The causes are those of well-known reports: LayerNorm decomposed before opset 17, additive masks of −1e12, reductions
longer than FP16 can count, 8-bit numbers fed to a normalisation, scatters whose indices meet. What a backend makes of
them is for a test to measure: an FP32 accumulator or a fused operator may well save the day.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto

from assay_runner.tensors import Array
from tests.models import constant, mlp, model, node, random, value

__all__ = ["SCENARIOS", "Scenario", "write"]

LONG = 65_536
WIDTH = 16


@dataclass(frozen=True)
class Scenario:
    """A model and its inputs.

    Attributes:
        proto: the model.
        inputs: one array per input, first axis = samples.
        node: the node at which it breaks first where nothing saves it; empty: nothing breaks.
    """

    proto: onnx.ModelProto
    inputs: Mapping[str, Array]
    node: str = ""


def around_300(samples: int = 32) -> Array:
    """Values of magnitude 300, whose squares are beyond 65,504."""
    signs = np.where(random(samples, WIDTH, seed=1) < 0, -1, 1)
    return (300 * signs + random(samples, WIDTH, seed=2, scale=20)).astype(np.float32)


def decomposed_layer_norm() -> Scenario:
    """The squares of the centred values overflow FP16; a projection behind it shows what is left."""
    nodes = [
        node("ReduceMean", "x", "mean", axes=[-1]),
        node("Sub", "x mean", "centred"),
        node("Pow", "centred two", "squared"),
        node("ReduceMean", "squared", "variance", axes=[-1]),
        node("Add", "variance epsilon", "safe"),
        node("Sqrt", "safe", "deviation"),
        node("Div", "centred deviation", "normal"),
        node("MatMul", "normal w", "y"),
    ]
    weights = [constant("two", np.float32(2)), constant("epsilon", np.float32(1e-5)), projection()]
    return Scenario(framed(nodes, weights), {"x": around_300()}, "squared.node")


def fused_layer_norm() -> Scenario:
    """The same as one operator, as opset 17 has it."""
    nodes = [node("LayerNormalization", "x scale shift", "normal", axis=-1), node("MatMul", "normal w", "y")]
    ones, zeros = np.ones(WIDTH, np.float32), np.zeros(WIDTH, np.float32)
    return Scenario(
        framed(nodes, [constant("scale", ones), constant("shift", zeros), projection()]), {"x": around_300()}
    )


def masked_by_1e12() -> Scenario:
    """Attention scores masked by adding (1 − keep) · −1e12, beyond FP16: 0 · −Inf is NaN where nothing is masked."""
    nodes = [
        node("Sub", "one keep", "dropped"),
        node("Mul", "dropped never", "mask"),
        node("Add", "x mask", "scores"),
        node("Softmax", "scores", "weights", axis=-1),
        node("MatMul", "weights w", "y"),
    ]
    weights = [constant("one", np.float32(1)), constant("never", np.float32(-1e12)), projection()]
    proto = model(nodes, [value("x", "N", WIDTH), value("keep", "N", WIDTH)], [value("y", "N", 8)], weights)
    keep = (np.arange(WIDTH) < np.arange(4, 36)[:, None] % 13 + 3).astype(np.float32)
    return Scenario(proto, {"x": random(32, WIDTH), "keep": keep}, "mask.node")


def long_sum() -> Scenario:
    """A sum over 65,536 elements near 1.5: about 98,000, which FP16 does not have; the mean of them it has."""
    nodes = [node("ReduceSum", "x axis", "total", keepdims=1), node("Mul", "total share", "y")]
    weights = [constant("axis", np.array([-1], np.int64)), constant("share", np.float32(1 / LONG))]
    proto = model(nodes, [value("x", "N", LONG)], [value("y", "N", 1)], weights)
    return Scenario(proto, {"x": 1.5 + random(8, LONG, seed=3, scale=0.1)}, "total.node")


def long_softmax() -> Scenario:
    """A softmax over 65,536 like scores: a normaliser beyond 65,504, weights below FP16's smallest normal number."""
    nodes = [
        node("Softmax", "x", "weights", axis=-1),
        node("MatMul", "weights values", "y"),
    ]
    values = constant("values", random(LONG, 8, seed=4) + 1)
    proto = model(nodes, [value("x", "N", LONG)], [value("y", "N", 8)], [values])
    return Scenario(proto, {"x": random(8, LONG, seed=5, scale=0.5)}, "weights.node")


def layer_norm_fed_8_bits() -> Scenario:
    """A model with Q/DQ pairs of its own, one of them right before a LayerNormalization."""
    ones, zeros = np.ones(WIDTH, np.float32), np.zeros(WIDTH, np.float32)
    nodes = [
        node("QuantizeLinear", "x step zero", "q1"),
        node("DequantizeLinear", "q1 step zero", "x8"),
        node("QuantizeLinear", "w0 fine zero", "qw"),
        node("DequantizeLinear", "qw fine zero", "w8"),
        node("MatMul", "x8 w8", "hidden"),
        node("QuantizeLinear", "hidden coarse zero", "q2"),
        node("DequantizeLinear", "q2 coarse zero", "hidden8"),
        node("LayerNormalization", "hidden8 scale shift", "normal", axis=-1),
        node("MatMul", "normal w", "y"),
    ]
    weights = [
        constant("w0", random(WIDTH, WIDTH, seed=6)),
        *(constant(name, np.float32(step)) for name, step in (("step", 0.03), ("fine", 0.03), ("coarse", 0.15))),
        constant("zero", np.int8(0)),
        constant("scale", ones),
        constant("shift", zeros),
        projection(),
    ]
    return Scenario(framed(nodes, weights), {"x": random(64, WIDTH, seed=7)}, "normal.node")


def meeting_scatter() -> Scenario:
    """64 sums of 4,096 terms by a scatter whose indices meet: the order of adding is the device's choice."""
    places, terms = 64, 4_096
    nodes = [
        node("Slice", "terms first last axis", "some"),
        node("Mul", "some nothing", "empty"),
        helper_scatter("empty", "index", "terms", "y"),
    ]
    weights = [
        constant("first", np.array([0], np.int64)),
        constant("last", np.array([places], np.int64)),
        constant("axis", np.array([1], np.int64)),
        constant("nothing", np.float32(0)),
    ]
    inputs = [value("terms", "N", terms), value("index", "N", terms, kind=TensorProto.INT64)]
    proto = model(nodes, inputs, [value("y", "N", places)], weights, 18)
    index = np.random.default_rng(8).integers(0, places, (8, terms))
    scale = np.exp2(np.random.default_rng(9).integers(-12, 12, (8, terms))).astype(np.float32)
    return Scenario(proto, {"terms": random(8, terms, seed=10) * scale, "index": index}, "y.node")


def tiny() -> Scenario:
    """Two small products: nothing to gain from FP16, and a builder may know."""
    return Scenario(mlp(), {"x": random(64, 8, seed=11)})


def helper_scatter(data: str, index: str, updates: str, made: str) -> onnx.NodeProto:
    """ScatterElements that adds."""
    return node("ScatterElements", f"{data} {index} {updates}", made, axis=1, reduction="add")


def projection() -> onnx.TensorProto:
    """Weights w of a product at the end, without which some outputs would show nothing of what went wrong before."""
    return constant("w", random(WIDTH, 8, seed=12))


def framed(nodes: list[onnx.NodeProto], weights: list[onnx.TensorProto]) -> onnx.ModelProto:
    """x (N, 16) to y (N, 8)."""
    return model(nodes, [value("x", "N", WIDTH)], [value("y", "N", 8)], weights)


SCENARIOS = {
    "decomposed-layer-norm": decomposed_layer_norm,
    "fused-layer-norm": fused_layer_norm,
    "mask-1e12": masked_by_1e12,
    "long-sum": long_sum,
    "long-softmax": long_softmax,
    "layer-norm-8-bits": layer_norm_fed_8_bits,
    "meeting-scatter": meeting_scatter,
    "tiny": tiny,
}
"""Name → builder; building takes a moment, so only what a test asks for is built."""


def write(name: str, folder: Path) -> Scenario:
    """Write model.onnx and data/part-0.npz."""
    made = SCENARIOS[name]()
    onnx.checker.check_model(made.proto, full_check=True)
    (folder / "data").mkdir(parents=True, exist_ok=True)
    onnx.save(made.proto, str(folder / "model.onnx"))
    arrays: dict[str, Any] = dict(made.inputs)
    np.savez(folder / "data" / "part-0.npz", **arrays)
    return made
