"""Which nodes of a candidate may run wider."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from shutil import rmtree
from typing import Final, cast

import onnx

from assay_runner.backends.quantisation import quantised_nodes
from assay_runner.graphs.documents import load_outline, subgraphs
from assay_runner.graphs.eight_bit import EightBit
from assay_runner.graphs.element_types import FLOAT_TYPES
from assay_runner.graphs.operators import HOLDERS
from assay_runner.graphs.taps import name_of
from assay_runner.remedies.case import Design

NO_NUMBERS: Final = frozenset({"Shape", "Size"})
"""Operators that read floating point tensors and no number of them."""


def may_run_wider(base: Design, floats: Collection[str], folder: Path) -> frozenset[str]:
    """Nodes that may be kept wide: those that make or read floating point numbers; of 8-bit candidates, 8-bit products.

    What the candidate holds in FP32 already stays so. What it holds in another format may have to run wider than that.
    Control flow cannot be held.

    Args:
        base: the candidate.
        floats: names of the floating point tensors that nodes make; none: they are not known, and any node may be wide.
        folder: to work in; empty.

    Raises:
        InvalidInput: ONNX Runtime refuses the model.
    """
    order, graph = base.order, load_outline(base.model.path).graph
    narrow = {name for name, kind in order.held.items() if kind != "fp32"}
    if order.quantisation is None:
        given = {each.name for each in graph.input if each.type.tensor_type.elem_type in FLOAT_TYPES}
        known = {*floats, *given} if floats else None
        found = {name_of(node) for node in graph.node if _counts(node, known)}
    else:
        try:
            kind = cast(EightBit, str(order.precision))
            found = narrow | quantised_nodes(base.model.path, order.quantisation, kind, folder)
        finally:
            rmtree(folder, ignore_errors=True)
    return frozenset(found - (order.held.keys() - narrow))


def _counts(node: onnx.NodeProto, floats: Collection[str] | None) -> bool:
    if not node.input or any(subgraphs(node)) or node.op_type in NO_NUMBERS | HOLDERS:
        return False
    return floats is None or any(name in floats for name in (*node.input, *node.output))
