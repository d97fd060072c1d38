"""The same graph with every float tensor in another float type, FP64 for a golden run, FP32 before emulation.

Where ONNX Runtime has no kernel for a node in the new type, the node is rewritten exactly, or stays as it is between
casts: an island, which is reported. Control flow is one too, with what it captures cast for it, unless it is entered.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import onnx
from onnx import TensorProto, helper

from assay_runner.graphs.convolution import (
    FIRST_OPSET,
    Rewrite,
    constant_adder,
    convolution,
    global_average,
    shapes_of,
)
from assay_runner.graphs.documents import captured, fresh, opset, rename_uses, subgraphs
from assay_runner.graphs.element_types import FLOAT_TYPES, cast, declare, inside_with_type, says_type, with_type
from assay_runner.graphs.kernels import Kernels
from assay_runner.graphs.operators import HOLDERS
from assay_runner.graphs.shapes import shape_tensors
from assay_runner.graphs.taps import name_of, site
from assay_runner.graphs.weights import Convert
from assay_runner.tensors import Array, Site


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
        wide: tensors and weights that keep their own type: those that kept nodes make, those that they alone read, and
            those that would decide on other shapes once they are rounded.
    """

    islands: list[Site] = field(default_factory=list)
    rewritten: list[Site] = field(default_factory=list)
    wide: set[str] = field(default_factory=set)


def converter(target: int, wide: Collection[str] = (), changed: Collection[int] = FLOAT_TYPES) -> Convert:
    """What `localise` does to a weight: float arrays to the target type, where what it cannot hold becomes infinite.

    Args:
        target: `TensorProto` element type.
        wide: names of weights that stay as they are.
        changed: element types that become the target.
    """
    dtype = helper.tensor_dtype_to_np_dtype(target)
    kinds = {helper.tensor_dtype_to_np_dtype(t) for t in changed}

    def convert(name: str, array: Array) -> Array:
        return cast(array, dtype) if array.dtype in kinds and array.dtype != dtype and name not in wide else array

    return convert


def retype(
    model: onnx.ModelProto,
    target: int,
    types: Mapping[str, int],
    ranks: Mapping[str, int],
    kernels: Has | None = None,
    keep: Collection[str] = (),
    changed: Collection[int] = FLOAT_TYPES,
    inside: Path | None = None,
) -> Retyped:
    """Give every float tensor the target type, in place; `converter` does the same to the weights of the outer graph.

    Graph inputs keep their type and are cast first; graph outputs have the target type.

    Args:
        model: weights not converted yet.
        target: `TensorProto` element type.
        types: element type of every tensor of the outer graph, as it is.
        ranks: number of axes of node outputs and inputs, where known.
        kernels: says what can compute in the target type; default ONNX Runtime.
        keep: names of nodes that stay in their own type, and so does what they make.
        changed: element types that become the target; other floats stay what they are.
        inside: folder in which the weights lie, where control flow is given the type as well; None: it stays as it is.
    """
    has = kernels or Kernels(model.opset_import)
    return _Retyping(model, target, types, ranks, has, keep, changed, inside).run()


class _Retyping:
    def __init__(
        self,
        model: onnx.ModelProto,
        target: int,
        types: Mapping[str, int],
        ranks: Mapping[str, int],
        kernels: Has,
        keep: Collection[str],
        changed: Collection[int],
        inside: Path | None,
    ) -> None:
        self.model, self.target, self.types, self.ranks = model, target, types, ranks
        self.kernels, self.keep, self.inside = kernels, keep, inside
        self.changed = frozenset(changed) - {target}
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
        self.result.wide |= set(filter(self._changes, self._kept_weights() | self._shape_weights()))
        for node in self.model.graph.node:
            self._node(node)
        for output in self.model.graph.output:
            if output.name not in self.renamed and output.name not in self.result.wide:
                declare(output, self.target, self.changed)
        del self.model.graph.node[:]
        self.model.graph.node.extend(self.nodes)
        del self.model.graph.value_info[:]
        return self.result

    def _kept_weights(self) -> set[str]:
        """Weights that kept nodes alone read."""
        if not self.keep:
            return set()
        weights = {t.name for t in self.model.graph.initializer} - {o.name for o in self.model.graph.output}
        others = [node for node in self.model.graph.node if name_of(node) not in self.keep]
        read = {name for node in self.model.graph.node for name in node.input}
        return (weights & read) - {name for node in others for name in (*node.input, *captured(node))}

    def _shape_weights(self) -> set[str]:
        if self.target not in (TensorProto.FLOAT16, TensorProto.BFLOAT16):
            return set()
        return {t.name for t in self.model.graph.initializer} & shape_tensors(self.model.graph)

    def _changes(self, name: str) -> bool:
        return self.types.get(name) in self.changed

    def _cast(self, source: str, target: str, to: int) -> None:
        self.nodes.append(helper.make_node("Cast", [source], [target], name=self.name(f"{target}_cast"), to=to))

    def _node(self, node: onnx.NodeProto) -> None:
        if not self._touched(node):
            self.nodes.append(node)
            return
        changed = self._changed(node)
        kept = name_of(node) in self.keep
        if not kept and self._runs(changed):
            self._narrow(changed)
            rename_uses(changed, self.renamed)
            self.nodes.append(changed)
        elif not kept and self._rewritten(changed):
            self.result.rewritten.append(site(node))
        else:
            self.result.islands.append(site(node))
            self._island(node, kept)

    def _runs(self, changed: onnx.NodeProto) -> bool:
        """Whether the node can compute in the target type."""
        if self.inside is None and any(subgraphs(changed)):
            return False
        # Of a sequence there is no one type to ask for; it holds whatever it is given.
        holds = changed.op_type in HOLDERS and changed.domain in ("", "ai.onnx")
        return (holds and self.inside is not None) or self.kernels.has(changed, self._input_types(changed))

    def _narrow(self, node: onnx.NodeProto) -> None:
        """Cast what kept nodes made before a node that reads it in the target type."""
        for name in dict.fromkeys(node.input):
            if name in self.result.wide and name not in self.renamed:
                self.renamed[name] = self.name(f"{name}__narrow")
                self._cast(name, self.renamed[name], self.target)

    def _input_types(self, node: onnx.NodeProto) -> dict[str, int]:
        return {
            name: self.target if self._changes(name) else self.types.get(name, TensorProto.FLOAT)
            for name in (*node.input, *captured(node))
            if name
        }

    def _touched(self, node: onnx.NodeProto) -> bool:
        if any(map(self._changes, (*node.input, *node.output, *captured(node)))):
            return True
        # What makes a sequence says what it holds; inside control flow there may be what is not seen from outside.
        untyped = any(name not in self.types for name in node.output if name)
        return (untyped and says_type(node, self.changed)) or (self.inside is not None and any(subgraphs(node)))

    def _changed(self, node: onnx.NodeProto) -> onnx.NodeProto:
        if self.inside is None:
            return with_type(node, self.target, self.changed)
        return inside_with_type(node, self.target, self.changed, self.inside)

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

    def _island(self, node: onnx.NodeProto, kept: bool) -> None:
        names = {}
        for name in sorted({*node.input, *captured(node)}):
            if self._changes(name):
                if name in self.renamed or name in self.result.wide:
                    continue  # A graph input, and what a kept node made, has its own type still.
                if name not in self.lowered:
                    self.lowered[name] = self.name(f"{name}__own")
                    self._cast(name, self.lowered[name], self.types[name])
                names[name] = self.lowered[name]
        rename_uses(node, names)
        raised = []
        for index, output in enumerate(node.output):
            if self._changes(output) and kept:
                self.result.wide.add(output)
            elif self._changes(output):
                node.output[index] = self.name(f"{output}__own")
                raised.append((node.output[index], output))
        self.nodes.append(node)
        for source, output in raised:
            self._cast(source, output, self.target)
