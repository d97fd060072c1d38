"""Which tensors decide shapes: an engine keeps those in full precision, whatever the precision of the model.

A Resize scale rounded to FP16 would change the size of a feature map, which no engine does. A tensor decides shapes if
every use of it is one of the operands below, or a node all of whose outputs decide shapes.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import onnx

from assay_runner.graphs.documents import captured

# Operands by operator: positions that hold sizes, scales, positions or quantisation parameters.
SHAPE_OPERANDS: Mapping[str, frozenset[int]] = MappingProxyType(
    {
        "Reshape": frozenset({1}),
        "Expand": frozenset({1}),
        "Tile": frozenset({1, 2}),
        "Slice": frozenset({1, 2, 3, 4}),
        "Pad": frozenset({1, 3}),
        "Resize": frozenset({1, 2, 3}),
        "Upsample": frozenset({1}),
        "ConstantOfShape": frozenset({0}),
        "Range": frozenset({0, 1, 2}),
        "TopK": frozenset({1}),
        "OneHot": frozenset({1}),
        "Squeeze": frozenset({1}),
        "Unsqueeze": frozenset({1}),
        "Split": frozenset({1}),
        "CenterCropPad": frozenset({1}),
        "AffineGrid": frozenset({1}),
        "NonMaxSuppression": frozenset({2, 3, 4}),
        "QuantizeLinear": frozenset({1}),
        "DequantizeLinear": frozenset({1}),
        "Dropout": frozenset({1}),
    }
)


def shape_tensors(graph: onnx.GraphProto) -> frozenset[str]:
    """Names of the tensors of a graph, those of its subgraphs left out, that only decide shapes."""
    outputs = {o.name for o in graph.output}
    uses: dict[str, list[tuple[onnx.NodeProto, int]]] = {}
    for node in graph.node:
        for position, name in enumerate(node.input):
            uses.setdefault(name, []).append((node, position))
        for name in captured(node):
            uses.setdefault(name, []).append((node, -1))
    found: set[str] = set()

    def decides(node: onnx.NodeProto, position: int) -> bool:
        if position in SHAPE_OPERANDS.get(node.op_type, ()):
            return True
        return position >= 0 and all(output in found for output in node.output if output)

    for node in reversed(graph.node):
        found |= {o for o in node.output if o in uses and o not in outputs and all(decides(*u) for u in uses[o])}
    leaves = [t.name for t in graph.initializer] + [i.name for i in graph.input]
    return frozenset(found | {name for name in leaves if name in uses and all(decides(*u) for u in uses[name])})
