"""The same graph with every float tensor in another float type, FP64 for a golden run, FP32 before emulation.

Where ONNX Runtime has no kernel for a node in the new type, the node is rewritten exactly, or stays as it is between
casts: an island, which is reported. Control flow always is one, with what it captures cast for it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from assay_runner.evidence import Site
from assay_runner.graphs.convolution import (
    FIRST_OPSET,
    Rewrite,
    constant_adder,
    convolution,
    global_average,
    shapes_of,
)
from assay_runner.graphs.documents import Convert, captured, fresh, opset, rename_uses, subgraphs
from assay_runner.graphs.kernels import Kernels
from assay_runner.graphs.taps import site
from assay_runner.tensors import Array

FLOAT_TYPES = (TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.FLOAT16, TensorProto.BFLOAT16)
TYPE_ATTRIBUTES = ("to", "dtype", "output_dtype", "output_datatype")


class Has(Protocol):
    """Says whether a node can compute with inputs of given element types."""

    def has(self, node: onnx.NodeProto, inputs: Mapping[str, int]) -> bool:
        """Whether it can."""
        ...


@dataclass
class Retyped:
    """What became of a graph.

    Attributes:
        islands: nodes that compute in their own type still.
        rewritten: nodes computed exactly by other operators.
    """

    islands: list[Site] = field(default_factory=list)
    rewritten: list[Site] = field(default_factory=list)


def converter(target: int) -> Convert:
    """What `localise` does to a weight: float arrays to the target type; what it cannot hold becomes infinite."""
    dtype = helper.tensor_dtype_to_np_dtype(target)
    kinds = {helper.tensor_dtype_to_np_dtype(t) for t in FLOAT_TYPES}

    def convert(name: str, array: Array) -> Array:
        return _cast(array, dtype) if array.dtype in kinds and array.dtype != dtype else array

    return convert


def _cast(array: Array, dtype: np.dtype[Any]) -> Array:
    # Of an overflow the check fp16Range tells; numpy's warning would say it to the terminal, without the name.
    with np.errstate(over="ignore"):
        return np.asarray(array.astype(dtype))


def retype(
    model: onnx.ModelProto,
    target: int,
    types: Mapping[str, int],
    ranks: Mapping[str, int],
    kernels: Has | None = None,
    keep: Collection[str] = (),
) -> Retyped:
    """Give every float tensor of the outer graph the target type, in place; `converter` does the same to its weights.

    Graph inputs keep their type and are cast first; graph outputs have the target type.

    Args:
        model: weights not converted yet.
        target: `TensorProto` element type.
        types: element type of every tensor of the outer graph, as it is.
        ranks: number of axes of node outputs and inputs, where known.
        kernels: says what can compute in the target type; default ONNX Runtime.
        keep: names of nodes that stay in their own type.
    """
    return _Retyping(model, target, types, ranks, kernels or Kernels(model.opset_import), keep).run()


class _Retyping:
    def __init__(
        self,
        model: onnx.ModelProto,
        target: int,
        types: Mapping[str, int],
        ranks: Mapping[str, int],
        kernels: Has,
        keep: Collection[str],
    ) -> None:
        self.model, self.target, self.types, self.ranks = model, target, types, ranks
        self.kernels, self.keep = kernels, keep
        self.name = fresh(model)
        self.constant = constant_adder(model, self.name)
        self.shapes = shapes_of(model)
        self.renamed: dict[str, str] = {}
        self.lowered: dict[str, str] = {}
        self.nodes: list[onnx.NodeProto] = []
        self.result = Retyped()

    def run(self) -> Retyped:
        weights = {t.name for t in self.model.graph.initializer}
        for name in [i.name for i in self.model.graph.input]:
            if name not in weights and self._changes(name):
                self.renamed[name] = self.name(f"{name}__wide")
                self._cast(name, self.renamed[name], self.target)
        for node in self.model.graph.node:
            self._node(node)
        for output in self.model.graph.output:
            if self._changes(output.name) and output.name not in self.renamed:
                output.type.tensor_type.elem_type = self.target
        del self.model.graph.node[:]
        self.model.graph.node.extend(self.nodes)
        del self.model.graph.value_info[:]
        return self.result

    def _changes(self, name: str) -> bool:
        return self.types.get(name) in FLOAT_TYPES and self.types[name] != self.target

    def _cast(self, source: str, target: str, to: int) -> None:
        self.nodes.append(helper.make_node("Cast", [source], [target], name=self.name(f"{target}_cast"), to=to))

    def _node(self, node: onnx.NodeProto) -> None:
        if not any(map(self._changes, (*node.input, *node.output, *captured(node)))):
            self.nodes.append(node)
            return
        changed = self._changed(node)
        kept = node.name in self.keep
        if not kept and not any(subgraphs(node)) and self.kernels.has(changed, self._input_types(changed)):
            rename_uses(changed, self.renamed)
            self.nodes.append(changed)
        elif not kept and self._rewritten(changed):
            self.result.rewritten.append(site(node))
        else:
            self.result.islands.append(site(node))
            self._island(node)

    def _input_types(self, node: onnx.NodeProto) -> dict[str, int]:
        return {
            name: self.target if self._changes(name) else self.types.get(name, TensorProto.FLOAT)
            for name in node.input
            if name
        }

    def _changed(self, node: onnx.NodeProto) -> onnx.NodeProto:
        changed = onnx.NodeProto()
        changed.CopyFrom(node)
        for attribute in changed.attribute:
            if attribute.name in TYPE_ATTRIBUTES and attribute.i in FLOAT_TYPES:
                attribute.i = self.target
            elif attribute.type == onnx.AttributeProto.TENSOR and attribute.t.data_type in FLOAT_TYPES:
                self._change_constant(attribute.t, np.asarray(numpy_helper.to_array(attribute.t)))
        if node.op_type == "Constant" and node.attribute[0].name in ("value_float", "value_floats"):
            value = np.asarray(helper.get_attribute_value(node.attribute[0]), np.float32)
            changed.attribute[0].CopyFrom(
                helper.make_attribute("value", numpy_helper.from_array(self._narrowed(value)))
            )
        return changed

    def _change_constant(self, tensor: onnx.TensorProto, value: Array) -> None:
        tensor.CopyFrom(numpy_helper.from_array(self._narrowed(value), tensor.name))

    def _narrowed(self, value: Array) -> Array:
        return _cast(value, helper.tensor_dtype_to_np_dtype(self.target))

    def _rewritten(self, node: onnx.NodeProto) -> bool:
        if self.target != TensorProto.DOUBLE or node.domain not in ("", "ai.onnx"):
            return False
        rewrite = Rewrite(self.name, self.constant)
        version = opset(self.model)
        rename_uses(node, self.renamed)
        done = False
        if node.op_type == "Conv" and version >= FIRST_OPSET:
            done = convolution(node, self.shapes, rewrite)
        elif node.op_type == "GlobalAveragePool" and (rank := self.ranks.get(node.input[0])):
            global_average(node, rank, version, rewrite)
            done = True
        if done:
            self.nodes.extend(rewrite.nodes)
        return done

    def _island(self, node: onnx.NodeProto) -> None:
        names = {}
        for name in sorted({*node.input, *captured(node)}):
            if self._changes(name):
                if name in self.renamed:
                    continue  # A graph input has its own type still.
                if name not in self.lowered:
                    self.lowered[name] = self.name(f"{name}__own")
                    self._cast(name, self.lowered[name], self.types[name])
                names[name] = self.lowered[name]
        rename_uses(node, names)
        raised = []
        for index, output in enumerate(node.output):
            if self._changes(output):
                node.output[index] = self.name(f"{output}__own")
                raised.append((node.output[index], output))
        self.nodes.append(node)
        for source, output in raised:
            self._cast(source, output, self.target)
