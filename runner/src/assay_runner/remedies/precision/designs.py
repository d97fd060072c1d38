"""What a candidate is built as while its precision is searched."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Final

from assay_runner.graphs.documents import load_outline
from assay_runner.graphs.taps import name_of
from assay_runner.remedies.case import Case, Design

WIDEST: Final = "fp32"


def node_names(path: Path) -> frozenset[str]:
    """Names of a model's outer nodes."""
    return frozenset(map(name_of, load_outline(path).graph.node))


def formats(precision: str) -> tuple[str, ...]:
    """What nodes of a candidate of this precision can be kept in: wider, and sayable in its model; the widest last."""
    narrower = {"fp16": ("bf16",), "int8": ("fp16",), "fp8": ("fp16",)}
    return (*narrower.get(precision, ()), WIDEST)


def explicit(case: Case) -> Design:
    """The candidate as a model says it whose types are explicit, so that what is kept wide stays so.

    With the ranges that come nearest to passing, where others than its own were tried.
    """
    order = case.design.order
    if order.backend == "tensorrt":
        order = replace(order, typing="strong" if order.precision in ("fp16", "bf16") else order.typing)
    if order.quantisation is not None and order.quantisation.quantization == "implicit":
        order = replace(order, quantisation=replace(order.quantisation, quantization="explicit"))
    design = replace(case.design, order=order)
    if case.ranged is None or case.ranged.order.quantisation is None:
        return design
    return replace(design, order=replace(order, quantisation=case.ranged.order.quantisation), calibration=None)
