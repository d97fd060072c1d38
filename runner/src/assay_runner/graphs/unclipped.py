"""Tensors of a quantised model that go by the name of what they become once they are quantised.

Where 8 bits with a zero point at their end clip as a Relu or Clip does, ONNX Runtime's quantiser takes that node out,
and gives its output's name to what stood before it: negative numbers and all. What is read of the tensor is what its
pair makes of it, and golden's tensor of that name is another.
"""

from __future__ import annotations

from typing import Final

import onnx

CLIPS: Final = frozenset({"Relu", "Clip"})


def unclipped(own: onnx.ModelProto, golden: onnx.ModelProto) -> frozenset[str]:
    """Those of a candidate's own model that golden has clipped, and that nothing but a QuantizeLinear reads."""
    clipped = {node.output[0]: node.op_type for node in golden.graph.node if node.op_type in CLIPS}
    readers: dict[str, set[str]] = {output.name: {""} for output in own.graph.output}
    for node in own.graph.node:
        for name in node.input:
            readers.setdefault(name, set()).add(node.op_type)
    return frozenset(
        name
        for node in own.graph.node
        for name in node.output
        if name in clipped and node.op_type != clipped[name] and readers.get(name) == {"QuantizeLinear"}
    )
