"""A model of which few samples need more nodes wide than the others, and findings of figures beyond a limit."""

from __future__ import annotations

import numpy as np
import onnx

from assay_api.report import Finding, Verdict
from tests.models import constant, model, node, random, value

WIDTH, BLOCKS, LIMIT = 32, 6, 17.0


def two_products(source: str, block: int) -> tuple[list[onnx.NodeProto], list[onnx.TensorProto]]:
    """Nodes and weights of d{block}; between those of block 3 one channel is 3,000 times as large as the others."""
    up = random(WIDTH, 2 * WIDTH, seed=100 + block) / np.float32(WIDTH**0.5)
    down = random(2 * WIDTH, WIDTH, seed=200 + block) / np.float32((2 * WIDTH) ** 0.5)
    if block == 3:
        up[:, 0] *= 3000
        down[0, :] /= 3000
    nodes = [
        node("MatMul", f"{source} up{block}", f"u{block}"),
        node("Relu", f"u{block}", f"a{block}"),
        node("MatMul", f"a{block} down{block}", f"d{block}"),
    ]
    return nodes, [constant(f"up{block}", up), constant(f"down{block}", down)]


def products() -> onnx.ModelProto:
    """Blocks of two products; one has a channel 3,000 times as large as the others, too large for INT8."""
    nodes: list[onnx.NodeProto] = []
    weights: list[onnx.TensorProto] = []
    source = "x"
    for block in range(BLOCKS):
        made, of = two_products(source, block)
        nodes += [*made, node("Add", f"{source} d{block}", f"y{block}")]
        weights += of
        source = f"d{block}" if block == 3 else f"y{block}"
    nodes[-1].output[0] = "y"
    return model(nodes, [value("x", "N", WIDTH)], [value("y", "N", WIDTH)], weights)


def finding(check: str, metric: str | None, value: float | None, limit: float | None) -> Finding:
    return Finding(
        candidate="c", check=check, verdict=Verdict.FAILED, message="m", metric=metric, value=value, limit=limit
    )
