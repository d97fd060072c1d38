"""A transformer as small as one can be that overflows in FP16 where it is told to, its LayerNorms spelt out."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

import numpy as np
import onnx

from assay_runner.tensors import Array
from tests.models import constant, model, node, random, value
from tests.normalisations import decomposed

WIDTH: Final = 16
WORDS: Final = 4
LOUD: Final = 400.0
"""What a block's values are scaled by before they are normalised: their squares are beyond FP16."""


def transformer(loud: Collection[int], blocks: int = 12) -> onnx.ModelProto:
    """x (N, words, width) to y: blocks of attention with one head and a product, each normalised in steps.

    Args:
        loud: blocks that overflow in FP16.
        blocks: how many there are.
    """
    nodes: list[onnx.NodeProto] = []
    weights = [constant("root", np.float32(WIDTH**-0.5))]
    source = "x"
    for number in range(blocks):
        p = f"b{number}."
        steps, numbers = decomposed(f"{p}scaled", p)
        nodes += [
            node("Mul", f"{source} {p}scale", f"{p}scaled"),
            *steps,
            *(node("MatMul", f"{p}normal {p}w{each}", f"{p}{each}") for each in "qkv"),
            node("Transpose", f"{p}k", f"{p}kt", perm=[0, 2, 1]),
            node("MatMul", f"{p}q {p}kt", f"{p}products"),
            node("Mul", f"{p}products root", f"{p}scores"),
            node("Softmax", f"{p}scores", f"{p}shares", axis=-1),
            node("MatMul", f"{p}shares {p}v", f"{p}mixed"),
            node("MatMul", f"{p}mixed {p}wo", f"{p}out"),
            node("Add", f"{source} {p}out", f"{p}y"),
        ]
        weights += [
            *numbers,
            constant(f"{p}scale", np.float32(LOUD if number in loud else 1)),
            *(
                constant(f"{p}w{each}", random(WIDTH, WIDTH, seed=10 * number + place) / np.float32(WIDTH**0.5))
                for place, each in enumerate("qkvo")
            ),
        ]
        source = f"{p}y"
    nodes.append(node("Identity", source, "y"))
    shapes = [value(name, "N", WORDS, WIDTH) for name in ("x", "y")]
    return model(nodes, shapes[:1], shapes[1:], weights)


def sentences(samples: int = 16, seed: int = 7) -> dict[str, Array]:
    """Inputs of it."""
    return {"x": random(samples, WORDS, WIDTH, seed=seed)}


def overflowing(*blocks: int) -> frozenset[str]:
    """Names of the nodes of these blocks that cannot be right in FP16: the squares, and who reads what is beyond it."""
    return frozenset(
        f"b{number}.{made}.node" for number in blocks for made in ("squared", "variance", "safe", "deviation")
    )
