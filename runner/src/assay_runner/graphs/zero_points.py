"""Zero points other than 0: ONNX has them, and TensorRT's parser refuses a model with one.

NVIDIA TensorRT documentation, "Quantization Schemes": only symmetric quantisation, so that a zero point must be 0.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import onnx
from onnx import numpy_helper

from assay_runner.graphs.documents import all_nodes, load_graph, load_outline, subgraphs
from assay_runner.graphs.eight_bit_reads import DQ, Q
from assay_runner.graphs.taps import RANDOM_OPS
from assay_runner.graphs.weights import is_outside, weight
from assay_runner.models.outline import FEW, stored_bytes

MOST_NODES: Final = 64
"""Nodes that are computed to know a zero point; exporters take two or three."""
MOST_BYTES: Final = 1 << 20
"""Bytes of weights that are read for one."""


class Shifted(NamedTuple):
    """Nodes that shift what they quantise.

    Attributes:
        node: name of the first, or of the tensor it makes where it has none.
        value: its first zero point other than 0.
        nodes: such nodes.
        of: QuantizeLinear and DequantizeLinear nodes in all.
    """

    node: str
    value: int
    nodes: int
    of: int

    @property
    def told(self) -> str:
        """For people."""
        return (
            f"{self.nodes} of {self.of} QuantizeLinear and DequantizeLinear nodes have a zero point other than 0 "
            f"(first {self.node!r}: {self.value}), and TensorRT takes 0 alone: quantise symmetrically, in "
            "onnxruntime.quantization by ActivationSymmetric and WeightSymmetric"
        )


def shifted(path: Path) -> Shifted | None:
    """What of a model shifts; None where nothing is known to.

    A zero point may be a weight, inside the file or beside it, or what nodes make of weights: it is looked up or
    computed where that takes little.

    Raises:
        InvalidInput: the file is no ONNX model.
    """
    outline = load_outline(path)
    nodes = [node for node in all_nodes(outline.graph) if node.op_type in (Q, DQ)]
    names = {node.input[2] for node in nodes if len(node.input) > 2 and node.input[2]}
    values = Small(outline, path).values(names)
    found = [(node, value) for node in nodes if len(node.input) > 2 and (value := values.get(node.input[2], 0))]
    if not found:
        return None
    node, value = found[0]
    return Shifted(node.name or node.output[0], value, len(found), len(nodes))


class Small:
    """Constants of a model that take little to compute: of few nodes, from few weights."""

    def __init__(self, outline: onnx.ModelProto, path: Path) -> None:
        """Look where everything is, in subgraphs too, whose names are no others'."""
        self._path, self._model = path, outline
        self._weights, self._makers = _stored(outline.graph), _made(outline.graph)
        self._whole: dict[str, onnx.TensorProto] | None = None

    def values(self, names: Iterable[str]) -> dict[str, int]:
        """The first element other than 0 of each of the tensors, or 0; those that are not small are left out."""
        found: dict[str, int] = {}
        for name in sorted(names):
            array = self.value(name)
            if array is not None:
                flat = np.asarray(array).ravel().astype(np.float64)
                found[name] = int(next(iter(flat[flat != 0]), 0))
        return found

    def value(self, name: str) -> Any:
        """A tensor's value; None where it is not small, or not constant."""
        weights, nodes = dict[str, onnx.TensorProto](), dict[int, onnx.NodeProto]()
        ahead = [name]
        while ahead:
            there = ahead.pop()
            if there in self._weights:
                weights[there] = self._weights[there]
            elif there in self._makers:
                place, node = self._makers[there]
                if node.op_type in RANDOM_OPS or any(subgraphs(node)):
                    return None
                if place not in nodes:
                    nodes[place] = node
                    ahead += filter(None, node.input)
            else:
                return None  # An input decides it.
            if len(nodes) > MOST_NODES or sum(map(stored_bytes, weights.values())) > MOST_BYTES:
                return None
        try:
            inside = {each: self._inside(tensor) for each, tensor in weights.items()}
            if not nodes:
                return numpy_helper.to_array(inside[name])
            return self._computed(name, [nodes[place] for place in sorted(nodes)], inside.values())
        except Exception:  # What onnx cannot read or compute is not known; whoever builds the model says why.
            return None

    def _inside(self, tensor: onnx.TensorProto) -> onnx.TensorProto:
        """The tensor with its values."""
        if is_outside(tensor):
            return numpy_helper.from_array(np.array(weight(tensor, self._path.parent)), tensor.name)
        if math.prod(tensor.dims) <= FEW:
            return tensor
        # Of an outline large tensors have none.
        if self._whole is None:
            self._whole = _stored(load_graph(self._path).graph)
        return self._whole[tensor.name]

    def _computed(self, name: str, nodes: Iterable[onnx.NodeProto], weights: Iterable[onnx.TensorProto]) -> Any:
        from onnx.reference import ReferenceEvaluator

        part = onnx.ModelProto(ir_version=self._model.ir_version, opset_import=self._model.opset_import)
        part.graph.name = "constant"
        part.graph.node.extend(nodes)
        part.graph.initializer.extend(weights)
        part.graph.output.append(onnx.ValueInfoProto(name=name))
        [value] = ReferenceEvaluator(part).run(None, {})
        return value


def _stored(graph: onnx.GraphProto) -> dict[str, onnx.TensorProto]:
    found = {tensor.name: tensor for tensor in graph.initializer}
    for node in graph.node:
        for inner in subgraphs(node):
            found |= _stored(inner)
    return found


def _made(graph: onnx.GraphProto) -> dict[str, tuple[int, onnx.NodeProto]]:
    """The node that makes each tensor, with its place in the order in which they can be computed."""
    return {name: (place, node) for place, node in enumerate(all_nodes(graph)) for name in node.output if name}
