"""Operators by what they do to the precision of their inputs."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

# Operators whose output elements are input elements: rounded in, rounded out.
MOVES = frozenset(
    {
        "Identity",
        "Reshape",
        "Flatten",
        "Transpose",
        "Squeeze",
        "Unsqueeze",
        "Slice",
        "Gather",
        "GatherND",
        "GatherElements",
        "Concat",
        "Split",
        "Expand",
        "Tile",
        "Relu",
        "Max",
        "Min",
        "MaxPool",
        "GlobalMaxPool",
        "Neg",
        "Abs",
        "DepthToSpace",
        "SpaceToDepth",
        "ReduceMax",
        "ReduceMin",
        "Where",
    }
)

# Operands that tensor cores read as TF32.
PRODUCTS: Mapping[str, frozenset[int]] = MappingProxyType(
    {op: frozenset({0, 1}) for op in ("Conv", "ConvTranspose", "MatMul", "Gemm", "Einsum")}
    | {op: frozenset({0, 1, 2, 5}) for op in ("LSTM", "GRU", "RNN")}
)
