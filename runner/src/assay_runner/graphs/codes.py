"""Integers that stand for numbers: the codes of quantised tensors, as opposed to indices, masks and counts.

A code that is off by one is a number that is off by a step, so codes are judged by what is read from them, not by
whether they are equal.
"""

from __future__ import annotations

from typing import Final

import onnx

from assay_runner.graphs.documents import captured

_MAKERS: Final = frozenset({"QuantizeLinear", "DynamicQuantizeLinear", "ConvInteger", "MatMulInteger"})
_PREFIXES: Final = ("QLinear", "QGemm", "QAttention", "QEmbed")
"""Operators of integers by the beginnings of their names, those of ONNX Runtime's own among them."""
_ENDS: Final = frozenset(
    {
        "ArgMax", "ArgMin", "Cast", "CastLike", "DequantizeLinear", "NonZero", "Shape", "Size", "TopK",
        "And", "Equal", "Greater", "GreaterOrEqual", "IsInf", "IsNaN", "Less", "LessOrEqual", "Not", "Or", "Xor",
    }
)  # fmt: skip
"""Operators that make something else of codes: numbers, indices, truth values."""
_OF_SHAPE: Final = ("Shape", "Size")


def codes(model: onnx.ModelProto) -> frozenset[str]:
    """Names of the outer graph's tensors that hold codes, if they hold integers: a scale beside them is among them.

    Those that nothing else is read from are the result, and judged as they are.
    """
    made, read = _made(model), set[str]()
    for node in reversed(model.graph.node):
        given = (*node.input, *captured(node))
        on = not read.isdisjoint(node.output) or made.isdisjoint(node.output)
        if on and node.op_type not in _OF_SHAPE:
            read.update(name for name in given if name in made)
    return frozenset(read)


def dequantised(model: onnx.ModelProto) -> dict[str, str]:
    """By tensor that a pair of QuantizeLinear and DequantizeLinear makes, what the pair rounds; of the outer graph."""
    read = {node.output[0]: node.input[0] for node in model.graph.node if node.op_type == "QuantizeLinear"}
    return {
        node.output[0]: read.get(node.input[0], node.input[0])
        for node in model.graph.node
        if node.op_type == "DequantizeLinear"
    }


def _made(model: onnx.ModelProto) -> set[str]:
    found: set[str] = set()
    for node in model.graph.node:
        made = node.op_type in _MAKERS or node.op_type.startswith(_PREFIXES)
        if made or (node.op_type not in _ENDS and not found.isdisjoint((*node.input, *captured(node)))):
            found.update(output for output in node.output if output)
    return found
