"""Tensors that are computed from weights alone: an exporter may leave a weight behind a Transpose, a Cast or a scale.

A builder folds them before it looks for weights, so they are weights here too, with the values that their nodes make.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import onnx
import onnx.shape_inference

from assay_runner.graphs.batch_shapes import dims
from assay_runner.graphs.documents import captured, subgraphs
from assay_runner.graphs.operators import MOVES
from assay_runner.graphs.taps import RANDOM_OPS, name_of, site
from assay_runner.tensors import Site

FILL: Final = "ConstantOfShape"
NOTHING: Final[Mapping[str, onnx.TensorProto]] = MappingProxyType({})


def constants(model: onnx.ModelProto, others: Collection[str] = ()) -> frozenset[str]:
    """Names of the outer graph's weights, and of what its nodes make of nothing else but these and `others`."""
    found = {tensor.name for tensor in model.graph.initializer} | set(others)
    found |= {sparse.values.name for sparse in model.graph.sparse_initializer}
    for node in model.graph.node:
        known = all(name in found for name in node.input if name)
        if known and node.op_type not in RANDOM_OPS and not any(subgraphs(node)):
            found |= set(filter(None, node.output))
    return frozenset(found)


def constants_and_fills(model: onnx.ModelProto) -> frozenset[str]:
    """The same, and what a ConstantOfShape makes, of whatever shape."""
    return constants(model, {name for node in model.graph.node if node.op_type == FILL for name in node.output})


@dataclass(frozen=True)
class Made:
    """A tensor that nodes make of constants alone, and that a node reads which makes another.

    Attributes:
        site: the tensor, with the node that makes it.
        through: names of the nodes that make its numbers, in order, that one last.
    """

    site: Site
    through: tuple[str, ...]


def made_of_constants(model: onnx.ModelProto) -> dict[str, Made]:
    """By name, in order; what a ConstantOfShape makes is one of any shape, whose numbers its attribute says."""
    known, by = constants_and_fills(model), makers(model)
    read = {name for node in model.graph.node if not known.issuperset(node.output) for name in node.input}
    found = {name: node for name, node in by.items() if name in known and name in read}
    return {name: Made(site(node), _makers_of(name, by)) for name, node in found.items()}


def _makers_of(tensor: str, by: Mapping[str, onnx.NodeProto]) -> tuple[str, ...]:
    """Nodes that a tensor's numbers go through; not those that only decide a shape."""
    found, ahead = list[str](), [tensor]
    for name in ahead:  # It grows meanwhile.
        if (node := by.get(name)) is None or name_of(node) in found:
            continue
        found.append(name_of(node))
        if node.op_type != FILL:
            ahead += node.input[:1] if node.op_type in MOVES else node.input
    return tuple(reversed(found))


def makers(model: onnx.ModelProto) -> dict[str, onnx.NodeProto]:
    """The node of the outer graph that makes each tensor."""
    return {output: node for node in model.graph.node for output in node.output if output}


class Upstream:
    """Cuts models out of a model, each of what makes one constant tensor of its outer graph."""

    def __init__(self, model: onnx.ModelProto, known: Mapping[str, onnx.TensorProto] = NOTHING) -> None:
        """Look once where everything is; the model must not be changed afterwards.

        Args:
            model: to cut from.
            known: tensors that count as weights, by name, whatever makes them.
        """
        graph = model.graph
        self._model = model
        self._places = {
            name: place for place, node in enumerate(graph.node) for name in node.output if name not in known
        }
        self._weights = {**{tensor.name: tensor for tensor in graph.initializer}, **known}
        self._sparse = {tensor.values.name: tensor for tensor in graph.sparse_initializer}

    def of(self, tensor: str) -> onnx.ModelProto:
        """A model without inputs that makes the tensor; its weights lie where the whole model's do."""
        needed, places, open_ends = dict[str, None](), set[int](), [tensor]
        while open_ends:
            name = open_ends.pop()
            if name in needed or not name:
                continue
            needed[name] = None
            if name in self._places:
                places.add(self._places[name])
                open_ends += self._model.graph.node[self._places[name]].input
        part = onnx.ModelProto(ir_version=self._model.ir_version, opset_import=self._model.opset_import)
        part.graph.name = "constant"
        part.graph.node.extend(self._model.graph.node[place] for place in sorted(places))
        part.graph.initializer.extend(self._weights[name] for name in needed if name in self._weights)
        part.graph.sparse_initializer.extend(self._sparse[name] for name in needed if name in self._sparse)
        part.graph.output.append(onnx.ValueInfoProto(name=tensor))
        return part


def static_shape(part: onnx.ModelProto) -> tuple[int, ...] | None:
    """The shape of the output of such a model, where inference finds all of it."""
    try:
        [output] = onnx.shape_inference.infer_shapes(part, data_prop=True).graph.output
    except Exception:  # It raises what it likes; what is not inferred is not known.
        return None
    shape = dims(output)
    numbers = tuple(size for size in shape or () if isinstance(size, int))
    return numbers if shape is not None and len(numbers) == len(shape) else None


def drop_dead(model: onnx.ModelProto, names: Collection[str], used: Collection[str]) -> set[str]:
    """Drop the nodes that make only tensors of these names and are read by nobody; returns what is read then.

    Args:
        model: changed in place; its nodes are in order.
        names: tensors that may go.
        used: outputs of the graph.
    """
    read, kept = set(used), list[onnx.NodeProto]()
    for node in reversed(model.graph.node):
        outputs = set(filter(None, node.output))
        if outputs <= set(names) and read.isdisjoint(outputs):
            continue
        kept.append(node)
        read |= {*node.input, *captured(node)}
    del model.graph.node[:]
    model.graph.node.extend(reversed(kept))
    return read
