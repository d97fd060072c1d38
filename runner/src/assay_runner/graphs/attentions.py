"""Attention in a graph: from the product of queries and keys through its Softmax to the product with the values.

Between these two products queries, keys and values may be of a wider type: then scores, their sums and shares are in it
too, and everything around stays as it is.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import onnx

from assay_runner.graphs.operators import MOVES
from assay_runner.graphs.taps import name_of

WHOLE: Final = frozenset({"Attention", "MultiHeadAttention"})
"""Operators that are all of it: ONNX's own, and two of ONNX Runtime's."""
PRODUCTS: Final = frozenset({"MatMul", "Einsum", "FusedMatMul"})
BETWEEN: Final = MOVES | {
    "Add",
    "Cast",
    "Clip",
    "Div",
    "Dropout",
    "Identity",
    "Max",
    "Min",
    "Mul",
    "Sub",
    "Tanh",
    "Where",
}
"""Operators between a product and the Softmax: scales, masks, caps, and what only moves numbers."""
FAR: Final = 8
"""Nodes between a product and the Softmax at most."""


@dataclass(frozen=True)
class Attention:
    """One attention.

    Attributes:
        name: of its Softmax, or of the one node that is all of it.
        nodes: names of all its nodes, both products included.
    """

    name: str
    nodes: frozenset[str]


def attentions(model: onnx.ModelProto) -> tuple[Attention, ...]:
    """Every attention of the outer graph, in its order.

    A product with a constant is none: a classifier's Softmax is no attention.
    """
    reading = _Reading(model)
    return tuple(found for node in model.graph.node if (found := reading.attention(node)))


class _Reading:
    def __init__(self, model: onnx.ModelProto) -> None:
        self.constants = {tensor.name for tensor in model.graph.initializer}
        self.constants |= {name for node in model.graph.node if node.op_type == "Constant" for name in node.output}
        self.makers = {name: node for node in model.graph.node for name in node.output if name}
        self.readers: dict[str, list[onnx.NodeProto]] = {}
        for node in model.graph.node:
            for name in dict.fromkeys(node.input):
                self.readers.setdefault(name, []).append(node)

    def attention(self, node: onnx.NodeProto) -> Attention | None:
        if node.op_type in WHOLE:
            return Attention(name_of(node), frozenset([name_of(node)]))
        if node.op_type != "Softmax" or node.domain not in ("", "ai.onnx"):
            return None
        before, behind = self._before(node.input[0], FAR), self._behind(node.output[0], FAR)
        if not before or not behind:
            return None
        return Attention(name_of(node), frozenset([*before, name_of(node), *behind]))

    def _before(self, tensor: str, far: int) -> frozenset[str]:
        """Nodes on the way back to a product of two tensors; none where it leads to no such product."""
        node = self.makers.get(tensor)
        if node is None:
            return frozenset()
        if self._multiplies(node):
            return frozenset([name_of(node)])
        return self._on(node, (self._before(name, far - 1) for name in node.input), far)

    def _behind(self, tensor: str, far: int) -> frozenset[str]:
        """Nodes on the way to such products."""
        found: set[str] = set()
        for node in self.readers.get(tensor, ()):
            if self._multiplies(node):
                found.add(name_of(node))
            else:
                found |= self._on(node, (self._behind(name, far - 1) for name in node.output), far)
        return frozenset(found)

    def _on(self, node: onnx.NodeProto, further: Iterable[frozenset[str]], far: int) -> frozenset[str]:
        """The node and what lies further on, where that leads anywhere."""
        if far <= 0 or node.op_type not in BETWEEN:
            return frozenset()
        found = frozenset[str]().union(*further)
        return found | {name_of(node)} if found else found

    def _multiplies(self, node: onnx.NodeProto) -> bool:
        return node.op_type in PRODUCTS and len(node.input) > 1 and self.constants.isdisjoint(node.input)
