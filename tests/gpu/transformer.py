"""A transformer with LayerNorms spelt out, two of its blocks so loud that squares in the next overflow FP16."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import onnx

from tests.models import constant, model, node, random, value
from tests.normalisations import decomposed

__all__ = ["WIDTH", "WORDS", "transformer"]

BLOCKS, WIDTH, HEADS, WORDS = 12, 256, 4, 32
SCALED: Final = (4, 8)


def transformer(blocks: int = BLOCKS, width: int = WIDTH, scaled: Sequence[int] = SCALED) -> onnx.ModelProto:
    """x (N, words, width) to y: blocks of attention and two layers, LayerNorms spelt out, two of them scaled by 400."""
    nodes: list[onnx.NodeProto] = []
    weights = [
        constant("heads", np.array([0, WORDS, HEADS, width // HEADS], np.int64)),
        constant("joined", np.array([0, WORDS, width], np.int64)),
        constant("root", np.float32((width // HEADS) ** -0.5)),
    ]
    source = "x"
    for index in range(blocks):
        made, given, source = _block(f"b{index}.", source, width, 400 if index in scaled else 1, index)
        nodes += made
        weights += given
    nodes.append(node("Identity", source, "y"))
    shapes = [value(name, "N", WORDS, width) for name in ("x", "y")]
    return model(nodes, shapes[:1], shapes[1:], weights, opset=17)


def _block(
    p: str, source: str, width: int, scale: float, seed: int
) -> tuple[list[onnx.NodeProto], list[onnx.TensorProto], str]:
    first, numbers = decomposed(source, p)
    second, more = decomposed(f"{p}attended", f"{p}f.")
    shapes = {"q": (width, width), "k": (width, width), "v": (width, width), "o": (width, width),
              "up": (width, 2 * width), "down": (2 * width, width)}  # fmt: skip
    given = [
        constant(f"{p}w{name}", random(*shape, seed=10 * seed + number) / np.float32(shape[0] ** 0.5))
        for number, (name, shape) in enumerate(shapes.items())
    ]
    given.append(constant(f"{p}scale", np.float32(scale)))
    heads = [
        part
        for name, order in (("q", [0, 2, 1, 3]), ("k", [0, 2, 3, 1]), ("v", [0, 2, 1, 3]))
        for part in (
            node("MatMul", f"{p}normal {p}w{name}", f"{p}{name}"),
            node("Reshape", f"{p}{name} heads", f"{p}{name}r"),
            node("Transpose", f"{p}{name}r", f"{p}{name}t", perm=order),
        )
    ]
    rest = [
        node("MatMul", f"{p}qt {p}kt", f"{p}products"),
        node("Mul", f"{p}products root", f"{p}scores"),
        node("Softmax", f"{p}scores", f"{p}shares", axis=-1),
        node("MatMul", f"{p}shares {p}vt", f"{p}mixed"),
        node("Transpose", f"{p}mixed", f"{p}mixedt", perm=[0, 2, 1, 3]),
        node("Reshape", f"{p}mixedt joined", f"{p}flat"),
        node("MatMul", f"{p}flat {p}wo", f"{p}out"),
        node("Add", f"{source} {p}out", f"{p}attended"),
        *second,
        node("MatMul", f"{p}f.normal {p}wup", f"{p}up"),
        node("Relu", f"{p}up", f"{p}active"),
        node("MatMul", f"{p}active {p}wdown", f"{p}down"),
        node("Mul", f"{p}down {p}scale", f"{p}scaled"),
        node("Add", f"{p}attended {p}scaled", f"{p}y"),
    ]
    return [*first, *heads, *rest], [*numbers, *more, *given], f"{p}y"
