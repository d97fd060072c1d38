"""Which nodes of a candidate may run wider."""

from __future__ import annotations

from pathlib import Path
from shutil import rmtree
from typing import cast

from assay_runner.backends.quantisation import quantised_nodes
from assay_runner.graphs.documents import load_outline
from assay_runner.graphs.eight_bit import EightBit
from assay_runner.graphs.taps import name_of
from assay_runner.remedies.case import Design


def may_run_wider(base: Design, made: frozenset[str], folder: Path) -> frozenset[str]:
    """Nodes that may be kept wide: those that make floating point numbers, or whose inputs are 8 bits.

    What the candidate holds in FP32 already stays so. What it holds in another format may have to run wider than that.

    Args:
        base: the candidate.
        made: names of nodes that make floating point numbers.
        folder: to work in; empty.

    Raises:
        InvalidInput: ONNX Runtime refuses the model.
    """
    order, names = base.order, frozenset(map(name_of, load_outline(base.model.path).graph.node))
    if order.quantisation is not None:
        try:
            kind = cast(EightBit, str(order.precision))
            made = quantised_nodes(base.model.path, order.quantisation, kind, folder)
            made |= {name for name, held in order.held.items() if held != "fp32"}
        finally:
            rmtree(folder, ignore_errors=True)
    return (made & names) - {name for name, held in order.held.items() if held == "fp32"}
