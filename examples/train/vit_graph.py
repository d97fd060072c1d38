"""The vision transformer as ONNX, and a variant whose layer normalisation overflows in FP16."""

import math
from collections.abc import Callable

import numpy as np
import onnx

from examples.train.graph import Graph, Weights

DIM = 64
HEADS = 4
HIDDEN = 128
BLOCKS = ("block0", "block1")
PATCH = 2
TOKENS = (8 // PATCH) ** 2
EPSILON = 1e-5
RESIDUAL_GAIN = 2.0**9
"""What the decomposed variant multiplies its residual stream by: with it, a deviation above 0.5 overflows squared."""

Norm = Callable[[Graph, str, str], str]
"""Appends a layer normalisation of that name to a tensor; returns its output."""


def export(name: str, weights: Weights) -> onnx.ModelProto:
    """Write the network out, its normalisations as LayerNormalization nodes."""
    return _export(name, weights, _layer_norm)


def export_decomposed(name: str, weights: Weights) -> onnx.ModelProto:
    """Write out the same function with layer normalisation in single steps, on a residual stream 512 times as large.

    This is what exporters before opset 17 make of a model with large activations. Everything that writes to the
    residual stream is scaled by a power of two and every norm divides it out again, so FP32 computes the same; each
    tensor still fits FP16 but one, the square under the variance (`block0.norm1.pow.out` is the first). Its infinity
    turns into zeros one division later, so the logits stay finite and are merely wrong.
    """
    writers = (
        "patch_embed.",
        "pos_embed",
        *(f"{block}.{part}." for block in BLOCKS for part in ("attn.proj", "mlp.fc2")),
    )
    gain = np.float32(RESIDUAL_GAIN)
    scaled = {key: value * gain if key.startswith(writers) else value for key, value in weights.items()}
    return _export(name, scaled, _decomposed_layer_norm)


def _export(name: str, weights: Weights, norm: Norm) -> onnx.ModelProto:
    graph = Graph(weights)
    x = _patch_embed(graph, "image")
    for block in BLOCKS:
        attended = _attention(graph, f"{block}.attn", norm(graph, f"{block}.norm1", x))
        x = graph.add("Add", f"{block}.add1", [x, attended])
        mapped = _mlp(graph, f"{block}.mlp", norm(graph, f"{block}.norm2", x))
        x = graph.add("Add", f"{block}.add2", [x, mapped])
    graph.linear("head", graph.add("ReduceMean", "pool", [norm(graph, "norm", x)], axes=[1], keepdims=0))
    return graph.model(name)


def _shape(graph: Graph, name: str, *dims: int) -> str:
    return graph.constant(name, dims, np.int64)


def _patch_embed(graph: Graph, image: str) -> str:
    kernel, bias = graph.weight("patch_embed.weight"), graph.weight("patch_embed.bias")
    x = graph.add("Conv", "patch_embed", [image, kernel, bias], kernel_shape=[PATCH] * 2, strides=[PATCH] * 2)
    x = graph.add("Reshape", "patch_embed.flatten", [x, _shape(graph, "patch_embed.shape", 0, DIM, TOKENS)])
    x = graph.add("Transpose", "patch_embed.transpose", [x], perm=[0, 2, 1])
    return graph.add("Add", "add_pos_embed", [x, graph.weight("pos_embed")])


def _attention(graph: Graph, name: str, x: str) -> str:
    size = DIM // HEADS
    parts = [f"{name}.{part}" for part in ("q", "k", "v")]
    sizes = _shape(graph, "attn.split_sizes", DIM, DIM, DIM)
    outputs = [f"{part}.out" for part in parts]
    graph.add_split("Split", f"{name}.split", [graph.linear(f"{name}.qkv", x), sizes], outputs, axis=2)
    heads = []
    for part, output in zip(parts, outputs, strict=True):
        split = graph.add(
            "Reshape", f"{part}.heads", [output, _shape(graph, "attn.heads_shape", 0, TOKENS, HEADS, size)]
        )
        perm = [0, 2, 3, 1] if part.endswith(".k") else [0, 2, 1, 3]
        heads.append(graph.add("Transpose", f"{part}.transpose", [split], perm=perm))
    query, key, value = heads
    scores = graph.add("MatMul", f"{name}.scores", [query, key])
    scaled = graph.add("Mul", f"{name}.scale", [scores, graph.constant("attn.scale_factor", 1 / math.sqrt(size))])
    weights = graph.add("Softmax", f"{name}.softmax", [scaled], axis=-1)
    mixed = graph.add("MatMul", f"{name}.context", [weights, value])
    joined = graph.add("Transpose", f"{name}.context.transpose", [mixed], perm=[0, 2, 1, 3])
    joined = graph.add("Reshape", f"{name}.merge", [joined, _shape(graph, "attn.merged_shape", 0, TOKENS, DIM)])
    return graph.linear(f"{name}.proj", joined)


def _mlp(graph: Graph, name: str, x: str) -> str:
    x = graph.linear(f"{name}.fc1", x)
    gelu = f"{name}.gelu"
    scaled = graph.add("Div", f"{gelu}.div", [x, graph.constant("gelu.sqrt2", math.sqrt(2))])
    raised = graph.add(
        "Add", f"{gelu}.add", [graph.add("Erf", f"{gelu}.erf", [scaled]), graph.constant("gelu.one", 1.0)]
    )
    product = graph.add("Mul", f"{gelu}.mul", [x, raised])
    return graph.linear(f"{name}.fc2", graph.add("Mul", f"{gelu}.halve", [product, graph.constant("gelu.half", 0.5)]))


def _layer_norm(graph: Graph, name: str, x: str) -> str:
    parameters = [graph.weight(f"{name}.weight"), graph.weight(f"{name}.bias")]
    return graph.add("LayerNormalization", name, [x, *parameters], axis=-1, epsilon=EPSILON)


def _decomposed_layer_norm(graph: Graph, name: str, x: str) -> str:
    mean = graph.add("ReduceMean", f"{name}.mean", [x], axes=[-1], keepdims=1)
    centred = graph.add("Sub", f"{name}.sub", [x, mean])
    square = graph.add("Pow", f"{name}.pow", [centred, graph.constant("norm.exponent", 2.0)])
    variance = graph.add("ReduceMean", f"{name}.variance", [square], axes=[-1], keepdims=1)
    epsilon = graph.constant("norm.epsilon", EPSILON * RESIDUAL_GAIN**2)
    deviation = graph.add("Sqrt", f"{name}.sqrt", [graph.add("Add", f"{name}.add_eps", [variance, epsilon])])
    scaled = graph.add(
        "Mul", f"{name}.mul", [graph.add("Div", f"{name}.div", [centred, deviation]), graph.weight(f"{name}.weight")]
    )
    return graph.add("Add", name, [scaled, graph.weight(f"{name}.bias")])
