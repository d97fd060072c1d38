"""Models that break in reduced precision: what TensorRT makes of them, and whether the report says just that.

No expected verdict stands here but where the types of the graph alone decide. The engine that the audit built is run
again by plain TensorRT, and the report must agree with it: a broken model fails and its first bad node is named; one
that an FP32 accumulator or a fused operator saved passes, with the drift that was measured.

Under strong typing the precision is in the graph, so FP16 is really tried, on models however small: at level 0, where
TensorRT compiles no kernels of its own, and for some at level 1, where it fuses what it can into such kernels, whose
intermediate values may well be wider than their type. Under weak typing TensorRT times and chooses, and small models
come out in FP32; so that is asked of those with convolutions or large products.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from assay_api.report import Verdict
from tests.gpu.audits import measured
from tests.gpu.bare import inputs_and_outputs, opened
from tests.gpu.opinions import CHECKS, Opinions, agree, audited, batch_of, opinions

pytestmark = pytest.mark.usefixtures("gpu")

STRONG: list[tuple[str, str, int]] = [
    ("decomposed-layer-norm", "fp16", 0),
    ("decomposed-layer-norm", "bf16", 0),
    ("decomposed-layer-norm", "fp16", 1),
    ("layer-norm-by-products", "fp16", 0),
    ("layer-norm-by-products", "bf16", 0),
    ("fused-layer-norm", "fp16", 0),
    ("wide-layer-norms", "fp16", 0),
    ("wide-fused-layer-norms", "fp16", 0),
    ("loud-feed-forward", "fp16", 0),
    ("loud-feed-forward", "bf16", 0),
    ("mask-1e12", "fp16", 0),
    ("mask-1e12", "bf16", 0),
    ("long-sum", "fp16", 0),
    ("long-sum", "bf16", 0),
    ("long-softmax", "fp16", 0),
    ("long-softmax", "bf16", 0),
    ("digits-cnn-overflow", "fp16", 0),
    ("digits-vit-decomposed", "fp16", 0),
]
WEAK: list[tuple[str, str, int]] = [
    ("digits-cnn-overflow", "fp16", 1),
    ("wide-layer-norms", "fp16", 1),
    ("decomposed-layer-norm", "fp16", 0),
    ("mask-1e12", "fp16", 0),
    ("long-sum", "fp16", 0),
]
DECIDED: dict[tuple[str, str], bool] = {
    ("layer-norm-by-products", "fp16"): True,
    ("layer-norm-by-products", "bf16"): False,
    ("loud-feed-forward", "fp16"): True,
    ("loud-feed-forward", "bf16"): False,
    ("digits-cnn-overflow", "fp16"): True,
    ("fused-layer-norm", "fp16"): False,
}
"""Whether it breaks under strong typing, on any GPU: what a product or a convolution reads lies in memory in the type
of its operands, which FP16 overflows in and BF16 does not."""
QUICK = [check for check in CHECKS if check != "layerDrift"]
"""All but the one that builds an engine of the layers alone, and another of a layer split."""
FULL = ("decomposed-layer-norm", "layer-norm-by-products", "loud-feed-forward", "long-sum", "digits-cnn-overflow")
NO_PRODUCT = ("long-sum",)
"""One kernel between two casts, whose inputs and outputs do not show what is inside."""


@pytest.mark.parametrize(("name", "precision", "level"), STRONG)
def test_what_is_typed_in_the_graph_is_tried_and_told(name: str, precision: str, level: int, tmp_path: Path) -> None:
    checks = CHECKS if name in FULL and precision == "fp16" else QUICK
    both = opinions(name, tmp_path, checks, precision=precision, typing="strong", level=level)
    agree(both)
    if name not in NO_PRODUCT:
        assert both.candidate.achieved.get(precision.upper(), 0) > 0, both.candidate.achieved
        assert ("BFloat16" if precision == "bf16" else "Half") in both.engine.inspected()
    if (expected := DECIDED.get((name, precision))) is not None:
        assert both.broken is expected
    if expected:
        [finite] = both.told.findings("finite")
        assert finite.verdict is Verdict.FAILED
        assert finite.node in beside(both), finite.message
        [range_] = both.told.findings("fp16Range")
        assert (range_.verdict, range_.node) == (Verdict.FAILED, both.scenario.node), range_.message


def beside(both: Opinions) -> set[str]:
    """The node that breaks, and those fused with it: an engine shows what its layers make, not what is inside them."""
    layers = [set(layer.nodes) for layer in both.candidate.engine_layers]
    return {both.scenario.node}.union(*(nodes for nodes in layers if both.scenario.node in nodes))


@pytest.mark.parametrize(("name", "precision", "level"), WEAK)
def test_what_the_builder_chose_is_told(name: str, precision: str, level: int, tmp_path: Path) -> None:
    both = opinions(name, tmp_path, QUICK, precision=precision, typing="weak", level=level)
    agree(both)
    # Also where the engine copes.
    assert both.scenario.node in {f.node for f in both.told.findings("fp16Range")}
    if both.broken:
        # Nothing but FP16 can have broken it.
        assert both.candidate.achieved.get("FP16", 0) > 0, both.candidate.achieved


def test_8_bits_into_a_normalisation_are_named(tmp_path: Path) -> None:
    fields: dict[str, Any] = {"model": {"uri": f"file://{tmp_path}/model.onnx"}, "level": 0}
    told, scenario = audited("layer-norm-8-bits", tmp_path, ("layerConstraints", "finite"), precision="int8", **fields)
    [found] = told.findings("layerConstraints")
    assert (found.verdict, found.node) == (Verdict.FAILED, scenario.node), found.message
    assert "LayerNormalization" in found.message


def test_a_scatter_whose_indices_meet_is_caught_or_cleared(tmp_path: Path) -> None:
    told, scenario = audited("meeting-scatter", tmp_path, ({"runToRun": {"runs": 10}},), precision="fp32", level=0)
    measured(told, "fp32")  # or a parser without the operator
    bare = opened(told.plans(), *inputs_and_outputs(tmp_path / "model.onnx"))
    runs = [bare.over(scenario.inputs, batch_of(scenario))["y"].tobytes() for _ in range(20)]
    different = sum(run != runs[0] for run in runs[1:])
    [found] = told.findings("runToRun")
    assert found.verdict in (Verdict.PASSED, Verdict.FAILED)
    if different > len(runs) // 2:
        assert (found.verdict, found.tensor) == (Verdict.FAILED, "y")
    if found.verdict is Verdict.PASSED:
        assert different <= len(runs) // 2


def test_fp16_that_came_out_as_fp32_is_said(tmp_path: Path) -> None:
    told, _ = audited("tiny", tmp_path, ("achievedPrecision", "finite"), precision="fp16", level=1, typing="weak")
    candidate = measured(told, "fp16", "typing weak is asked for")
    bare = opened(told.plans(), *inputs_and_outputs(tmp_path / "model.onnx"))
    layers = bare.inspected()
    assert candidate.achieved
    assert sum(candidate.achieved.values()) <= len(candidate.engine_layers)
    if not ("Half" in layers or "FP16" in layers):
        assert candidate.achieved.get("FP16", 0) == 0
    untold = Verdict.INCONCLUSIVE if "unknown" in candidate.achieved else Verdict.FAILED
    wanted = Verdict.PASSED if candidate.achieved.get("FP16", 0) else untold
    assert told.verdict("achievedPrecision") is wanted, [f.message for f in told.findings()]
