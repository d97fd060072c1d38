"""What a node is given beside its data: numbers of its attributes, and weights that hold axes, indices and factors."""

from __future__ import annotations

import math
from collections.abc import Mapping

import onnx
from onnx import numpy_helper

from assay_runner.graphs.documents import attributes
from assay_runner.models.outline import FEW
from assay_runner.tensors import Array


def small_weights(model: onnx.ModelProto) -> dict[str, Array]:
    """The weights whose values an outline has."""
    small = (tensor for tensor in model.graph.initializer if math.prod(tensor.dims) <= FEW and not tensor.external_data)
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in small}


class Reader:
    """Reads one node's attributes and constant inputs."""

    def __init__(self, node: onnx.NodeProto, constants: Mapping[str, Array]) -> None:
        """Read this node, whose constant inputs are among these weights."""
        self._constants = constants
        self.inputs = list(node.input)
        self._given = attributes(node)

    def number(self, name: str, default: int | None = None) -> int | None:
        """A whole number of an attribute."""
        return self._given.get(name, default)

    def text(self, name: str, default: str) -> str:
        """A word of an attribute."""
        given = self._given.get(name, default)
        return given.decode() if isinstance(given, bytes) else str(given)

    def list(self, name: str, position: int) -> list[int] | None:
        """Whole numbers, of an attribute or of a constant input; None where they are not there, or not constant."""
        if name in self._given:
            return [int(each) for each in self._given[name]]
        array = self.constant(position)
        return None if array is None else [int(each) for each in array.reshape(-1)]

    def constant(self, position: int) -> Array | None:
        """A constant input."""
        return self._constants.get(self.inputs[position]) if position < len(self.inputs) else None
