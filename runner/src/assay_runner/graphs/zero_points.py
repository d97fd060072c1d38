"""Zero points other than 0: ONNX has them, and TensorRT's parser refuses a model with one.

NVIDIA TensorRT documentation, "Quantization Schemes": only symmetric quantisation, so that a zero point must be 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnx
from onnx import numpy_helper

from assay_runner.graphs.documents import all_nodes, load_outline
from assay_runner.graphs.eight_bit_reads import DQ, Q


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

    Raises:
        InvalidInput: the file is no ONNX model.
    """
    graph = load_outline(path).graph
    weights = {tensor.name: tensor for tensor in graph.initializer}
    nodes = [node for node in all_nodes(graph) if node.op_type in (Q, DQ)]
    found = [(node, value) for node in nodes if (value := _shift(node, weights))]
    if not found:
        return None
    node, value = found[0]
    return Shifted(node.name or node.output[0], value, len(found), len(nodes))


def _shift(node: onnx.NodeProto, weights: Mapping[str, onnx.TensorProto]) -> int:
    """The first zero point other than 0; 0 where there is none, or none that is a constant at hand."""
    tensor = weights.get(node.input[2]) if len(node.input) > 2 else None
    if tensor is None or tensor.data_location == onnx.TensorProto.EXTERNAL:
        return 0
    values = np.asarray(numpy_helper.to_array(tensor)).ravel().astype(np.float64)
    return int(next(iter(values[values != 0]), 0))
