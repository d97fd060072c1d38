"""ONNX files written by hand, with names that read well in a report.

Exporters name what they were not told to name by counting (`/Add_3_output_0`). Every node here carries the path of
the module it belongs to, and its output is that name with `.out`.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

Weights = Mapping[str, npt.NDArray[np.float32]]

OPSET = 17
"""The first with LayerNormalization, and old enough for every TensorRT 10."""

IR_VERSION = 8
"""The one that came with opset 17."""


class Graph:
    """A graph under construction: nodes in order, and the weights they use."""

    def __init__(self, weights: Weights) -> None:
        self._weights = weights
        self._nodes: list[onnx.NodeProto] = []
        self._initializers: dict[str, onnx.TensorProto] = {}

    def weight(self, name: str) -> str:
        """Use the trained weight of that name."""
        return self.constant(name, self._weights[name])

    def constant(self, name: str, value: npt.ArrayLike, dtype: npt.DTypeLike = np.float32) -> str:
        """Use `value` under `name`; a second use of the name must be of the same value."""
        tensor = numpy_helper.from_array(np.array(value, dtype), name)
        if self._initializers.setdefault(name, tensor) != tensor:
            raise ValueError(f"two different constants are named {name}")
        return name

    def add(self, op: str, name: str, inputs: Sequence[str], **attributes: Any) -> str:
        """Append a node with one output.

        Returns:
            The name of that output: `name` with `.out`.
        """
        return self.add_split(op, name, inputs, [f"{name}.out"], **attributes)[0]

    def add_split(
        self, op: str, name: str, inputs: Sequence[str], outputs: Sequence[str], **attributes: Any
    ) -> Sequence[str]:
        """Append a node with outputs named by the caller, and return them."""
        self._nodes.append(helper.make_node(op, inputs, outputs, name=name, **attributes))
        return outputs

    def linear(self, name: str, x: str) -> str:
        """Append `x @ weight + bias`, as MatMul and Add; returns the sum's name."""
        product = self.add("MatMul", name, [x, self.weight(f"{name}.weight")])
        return self.add("Add", f"{name}.add_bias", [product, self.weight(f"{name}.bias")])

    def model(self, name: str) -> onnx.ModelProto:
        """The finished model, from `image` float32 `[batch, 1, 8, 8]` to `logits` float32 `[batch, 10]`.

        The last node appended gives the logits.

        Raises:
            onnx.checker.ValidationError: if the nodes do not make a valid graph.
        """
        self._nodes[-1].output[:] = ["logits"]
        graph = helper.make_graph(
            self._nodes,
            name,
            [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["batch", 1, 8, 8])],
            [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 10])],
            list(self._initializers.values()),
        )
        model = helper.make_model(
            graph,
            opset_imports=[helper.make_opsetid("", OPSET)],
            ir_version=IR_VERSION,
            producer_name="examples.train",
        )
        onnx.checker.check_model(model, full_check=True)
        return model
