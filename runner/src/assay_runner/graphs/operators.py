"""Operators by what they do to the precision of their inputs."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import onnx

from assay_runner.graphs.documents import all_nodes

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

# Operators over sequences and optionals, which are of the type of what is put into them.
HOLDERS = frozenset(
    {
        "SequenceAt",
        "SequenceConstruct",
        "SequenceEmpty",
        "SequenceErase",
        "SequenceInsert",
        "SequenceLength",
        "SplitToSequence",
        "ConcatFromSequence",
        "Optional",
        "OptionalGetElement",
        "OptionalHasElement",
    }
)

FULL_PRECISION = 1


def in_full_precision(model: onnx.ModelProto) -> bool:
    """Have products with packed weights read their activations as they are, in place; whether any did not.

    An attribute lets ONNX Runtime quantise them to 8 bits on the way, which is no part of what the model computes.
    """
    found = False
    for node in all_nodes(model.graph):
        for attribute in node.attribute if node.op_type == "MatMulNBits" else ():
            if attribute.name == "accuracy_level" and attribute.i > FULL_PRECISION:
                attribute.i, found = FULL_PRECISION, True
    return found
