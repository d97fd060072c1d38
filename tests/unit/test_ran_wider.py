"""What of an engine is taken to have run wider than FP16, where the graph's own types decide and where they do not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from assay_runner.checks.ran_wider import RanWider
from assay_runner.evidence.engine import EngineLayer, EngineTensor
from assay_runner.evidence.ranges import Accumulation, TensorRange
from assay_runner.tensors import Site

KERNEL = EngineLayer(
    "l", "kgen", "FP32", (EngineTensor("x", "Float"),), (EngineTensor("y", "Float"),), nodes=("pow", "sum", "sqrt")
)
"""Casts at both ends of a kernel are fused into it, so it reads and makes FP32 and computes in who knows what."""
SQUARED = TensorRange(Site("squared", "pow", "Pow"), "tensor", 9, 9, 0, 0, 0, 9e4, 1.0, 3, 0)
TOTAL = Accumulation(Site("total", "sum", "ReduceSum"), "the sum", 1e6, 3, 0, wide=False)


@pytest.mark.parametrize(
    ("typed", "tensor", "total"),
    [
        (None, True, True),
        (frozenset(), False, False),
        (frozenset({"pow"}), True, False),
        (frozenset({"sum", "sqrt"}), False, True),
    ],
    ids=["the builder chose", "all FP16", "pow held", "sum held"],
)
def test_where_types_decide_nothing_else_ran_wider(typed: frozenset[str] | None, tensor: bool, total: bool) -> None:
    wider = RanWider((KERNEL,), typed)
    assert (wider.keeps(SQUARED), wider.sums(TOTAL)) == (tensor, total)


@pytest.mark.parametrize(("typed", "kept"), [(None, False), (frozenset({"pow"}), True), (frozenset({"sum"}), False)])
def test_of_a_kernel_that_casts_inside_only_types_tell(typed: frozenset[str] | None, kept: bool) -> None:
    assert RanWider((replace(KERNEL, precision=""),), typed).keeps(SQUARED) is kept


def test_a_type_alone_is_no_proof() -> None:
    half = EngineLayer("l", "kgen", "FP16", KERNEL.inputs, (EngineTensor("y", "Half"),), nodes=KERNEL.nodes)
    assert not RanWider((half,), frozenset(KERNEL.nodes)).keeps(SQUARED)
