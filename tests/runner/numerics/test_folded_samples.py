"""Outputs whose first axis is samples and steps in one, as where an exporter made one axis of both: told apart."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from assay_api.report import Verdict
from assay_runner.checks.output_drift import OutputDrift
from assay_runner.golden.kept_axes import KeptAxes
from assay_runner.graphs.sample_axes import SampleAxes
from tests.models import Samples, constant, model, node, random, value
from tests.runner.numerics.candidates import measured

STEPS = 6


def tokens(batch: int | str = "N", declared: int | str = f"{STEPS}*N") -> onnx.ModelProto:
    """The logits of all tokens of all samples, one below the other."""
    nodes = [node("Reshape", "x rows", "flat"), node("MatMul", "flat w", "y")]
    weights = [constant("rows", [-1, 8]), constant("w", random(8, 5))]
    return model(nodes, [value("x", batch, STEPS, 8)], [value("y", declared, 5)], weights)


@pytest.mark.parametrize(
    ("proto", "fixed"),
    [(tokens(), False), (tokens(declared="rows"), False), (tokens(4, 4 * STEPS), True), (tokens(declared="N"), False)],
    ids=["shape expression", "a name", "fixed", "declared wrongly"],
)
def test_a_sample_whose_rows_break_is_named(proto: onnx.ModelProto, fixed: bool, tmp_path: Path) -> None:
    x = random(10, STEPS, 8)
    x[9] *= 1e-7
    data = Samples({"x": x}, batch=4, fixed=fixed)
    fine, broken = (
        measured(proto, kind, data, tmp_path / kind, OutputDrift()).findings[0] for kind in ("fp32", "fp16")
    )
    assert fine.verdict is Verdict.PASSED
    assert broken.verdict is Verdict.FAILED
    assert "in sample 9, the worst of 10" in broken.message
    whole, rounded = x[9].reshape(STEPS, 8) @ random(8, 5), x[9].astype(np.float16).astype(np.float32)
    assert broken.value == pytest.approx(
        10 * np.log10((whole**2).sum() / ((rounded @ random(8, 5).astype(np.float16) - whole) ** 2).sum()), abs=1
    )


def test_rows_by_step_and_then_by_sample_are_not_taken_for_it(tmp_path: Path) -> None:
    """All samples of one step, then those of the next: no sample's rows are in a row."""
    nodes = [node("Transpose", "x", "turned", perm=[1, 0, 2]), node("Reshape", "turned rows", "y")]
    proto = model(nodes, [value("x", "N", STEPS, 8)], [value("y", "rows", 8)], [constant("rows", [-1, 8])])
    [finding] = measured(proto, "fp16", Samples({"x": random(8, STEPS, 8)}, batch=4), tmp_path, OutputDrift()).findings
    assert finding.verdict is Verdict.INCONCLUSIVE
    assert "export the model so that an axis of the output is its batch, or set dataset.batch to 1" in finding.message


def test_what_was_found_is_kept() -> None:
    kept = KeptAxes.model_validate_json(KeptAxes(folded=("y",)).model_dump_json())
    assert kept.over(SampleAxes({"y": 0, "z": 0})) == SampleAxes({"z": 0}, folded=frozenset({"y"}))
