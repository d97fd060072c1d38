"""LayerNorm as models have it: one operator, or spelt out in steps, the means of which are reductions or products.

The spelt-out ones overflow FP16 at the squares where values are around 300. Fused into one kernel they may well live in
wider registers; the squares that a product reads have to be written out in the type of its operands.
"""

from __future__ import annotations

import numpy as np
import onnx

from tests.models import constant, node

__all__ = ["Part", "by_products", "decomposed", "fused"]

Part = tuple[list[onnx.NodeProto], list[onnx.TensorProto]]
"""Nodes, and the weights that they read."""


def fused(source: str, width: int, prefix: str = "") -> Part:
    """One operator, as opset 17 has it: `source` to `normal`."""
    names = [f"{prefix}scale", f"{prefix}shift"]
    weights = [constant(names[0], np.ones(width, np.float32)), constant(names[1], np.zeros(width, np.float32))]
    return [node("LayerNormalization", f"{source} {names[0]} {names[1]}", f"{prefix}normal", axis=-1)], weights


def decomposed(source: str, prefix: str = "") -> Part:
    """In steps, as before opset 17: `source` to `normal`; the first to overflow is `squared`."""
    mean = [node("ReduceMean", source, f"{prefix}mean", axes=[-1])]
    variance = [node("ReduceMean", f"{prefix}squared", f"{prefix}variance", axes=[-1])]
    return _steps(source, prefix, mean, variance), _numbers(prefix)


def by_products(source: str, width: int, prefix: str = "") -> Part:
    """In steps whose means are products with a matrix of 1 / width, as exported for devices that only multiply."""
    mean = [node("MatMul", f"{source} {prefix}average", f"{prefix}mean")]
    variance = [node("MatMul", f"{prefix}squared {prefix}average", f"{prefix}variance")]
    average = constant(f"{prefix}average", np.full((width, width), 1 / width, np.float32))
    return _steps(source, prefix, mean, variance), [*_numbers(prefix), average]


def _steps(
    source: str, prefix: str, mean: list[onnx.NodeProto], variance: list[onnx.NodeProto]
) -> list[onnx.NodeProto]:
    return [
        *mean,
        node("Sub", f"{source} {prefix}mean", f"{prefix}centred"),
        node("Pow", f"{prefix}centred {prefix}two", f"{prefix}squared"),
        *variance,
        node("Add", f"{prefix}variance {prefix}epsilon", f"{prefix}safe"),
        node("Sqrt", f"{prefix}safe", f"{prefix}deviation"),
        node("Div", f"{prefix}centred {prefix}deviation", f"{prefix}normal"),
    ]


def _numbers(prefix: str) -> list[onnx.TensorProto]:
    return [constant(f"{prefix}two", np.float32(2)), constant(f"{prefix}epsilon", np.float32(1e-5))]
