"""Models that break in reduced precision in the ways that real ones have, each with the data that breaks it.

The causes are those of well-known reports: LayerNorm decomposed before opset 17, additive masks of −1e12, reductions
longer than FP16 can count, 8-bit numbers fed to a normalisation, scatters whose indices meet. What a backend makes of
them is for a test to measure: an FP32 accumulator or a fused operator may well save the day. Two cannot be saved where
the graph's types are kept: what a product reads lies in memory in the type of its operands.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto

from assay_runner.tensors import Array
from tests.models import constant, mlp, model, node, random, value
from tests.normalisations import Part, by_products, decomposed, fused

__all__ = ["SCENARIOS", "Scenario", "write"]

DIGITS = Path(__file__).parents[1] / "examples" / "digits"
LONG = 65_536
WIDTH = 16
WIDE = 1024


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
    return normalised(decomposed("x"), "squared.node")


def layer_norm_by_products() -> Scenario:
    """The same with means by products, which read the squares in FP16: nothing wider can save them."""
    return normalised(by_products("x", WIDTH), "squared.node")


def fused_layer_norm() -> Scenario:
    """The same as one operator, as opset 17 has it."""
    return normalised(fused("x", WIDTH), "")


def wide_layer_norms(part: Callable[[str, str], Part], breaks: str) -> Scenario:
    """Two LayerNorms between products so large that a builder has reason to run them in FP16."""
    loud, names = 300 / WIDE**0.5, ("w1", "w2", "w3")
    shapes = ((WIDE, WIDE, loud), (WIDE, WIDE, loud), (WIDE, 8, 1.0))
    weights = [constant(name, random(a, b, seed=20, scale=s)) for name, (a, b, s) in zip(names, shapes, strict=True)]
    nodes = [node("MatMul", "x w1", "h1")]
    for source, prefix, weight, made in (("h1", "first_", "w2", "h2"), ("h2", "second_", "w3", "y")):
        inner, more = part(source, prefix)
        nodes += [*inner, node("MatMul", f"{prefix}normal {weight}", made)]
        weights += more
    proto = model(nodes, [value("x", "N", WIDE)], [value("y", "N", 8)], weights)
    return Scenario(proto, {"x": random(64, WIDE, seed=21)}, breaks)


def loud_feed_forward() -> Scenario:
    """Hidden values up to 200,000 between two products, as in feed-forward layers trained in BF16."""
    nodes = [node("MatMul", "x up", "hidden"), node("Relu", "hidden", "active"), node("MatMul", "active down", "y")]
    up, down = random(WIDTH, 64, seed=22, scale=1.5e4), random(64, 8, seed=23, scale=1e-3)
    return Scenario(
        framed(nodes, [constant("up", up), constant("down", down)]), {"x": random(32, WIDTH)}, "hidden.node"
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
        scatter("empty", "index", "terms", "y"),
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


def scatter_behind_a_product() -> Scenario:
    """Sums by a reducing scatter, which TensorRT has as a plugin, between two products."""
    nodes = [
        node("MatMul", "x into", "hidden"),
        node("Mul", "hidden nothing", "empty"),
        scatter("empty", "index", "hidden", "summed"),
        node("MatMul", "summed w", "y"),
    ]
    weights = [constant("into", random(WIDTH, WIDTH, seed=24)), constant("nothing", np.float32(0)), projection()]
    inputs = [value("x", "N", WIDTH), value("index", "N", WIDTH, kind=TensorProto.INT64)]
    index = np.random.default_rng(25).integers(0, WIDTH, (64, WIDTH))
    return Scenario(
        model(nodes, inputs, [value("y", "N", 8)], weights, 18), {"x": random(64, WIDTH, seed=26), "index": index}
    )


def digits(name: str, breaks: str) -> Scenario:
    """A digits model that is exact in FP32, on 128 of its images."""
    shards = [np.load(path)["image"] for path in sorted((DIGITS / "data").glob("*.npz"))]
    return Scenario(onnx.load(str(DIGITS / f"{name}.onnx")), {"image": np.concatenate(shards)[:128]}, breaks)


def tiny() -> Scenario:
    """Two small products: nothing to gain from FP16, and a builder may know."""
    return Scenario(mlp(), {"x": random(64, 8, seed=11)})


def scatter(data: str, index: str, updates: str, made: str) -> onnx.NodeProto:
    """ScatterElements that adds."""
    return node("ScatterElements", f"{data} {index} {updates}", made, axis=1, reduction="add")


def normalised(part: Part, breaks: str) -> Scenario:
    """x, around 300, through a LayerNorm and a product."""
    nodes, weights = part
    return Scenario(
        framed([*nodes, node("MatMul", "normal w", "y")], [*weights, projection()]), {"x": around_300()}, breaks
    )


def projection() -> onnx.TensorProto:
    """Weights w of a product at the end, without which some outputs would show nothing of what went wrong before."""
    return constant("w", random(WIDTH, 8, seed=12))


def framed(nodes: list[onnx.NodeProto], weights: list[onnx.TensorProto]) -> onnx.ModelProto:
    """x (N, 16) to y (N, 8)."""
    return model(nodes, [value("x", "N", WIDTH)], [value("y", "N", 8)], weights)


SCENARIOS: Mapping[str, Callable[[], Scenario]] = {
    "decomposed-layer-norm": decomposed_layer_norm,
    "layer-norm-by-products": layer_norm_by_products,
    "fused-layer-norm": fused_layer_norm,
    "wide-layer-norms": lambda: wide_layer_norms(decomposed, "first_squared.node"),
    "wide-fused-layer-norms": lambda: wide_layer_norms(lambda x, prefix: fused(x, WIDE, prefix), ""),
    "loud-feed-forward": loud_feed_forward,
    "digits-cnn-overflow": lambda: digits("digits-cnn-overflow", "bn2"),
    "digits-vit-decomposed": lambda: digits("digits-vit-decomposed", "block0.norm1.pow"),
    "mask-1e12": masked_by_1e12,
    "long-sum": long_sum,
    "long-softmax": long_softmax,
    "layer-norm-8-bits": layer_norm_fed_8_bits,
    "meeting-scatter": meeting_scatter,
    "scatter-behind-a-product": scatter_behind_a_product,
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
