"""Outputs whose first axis is samples and steps in one, as where an exporter made one axis of both: told apart."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from assay_api.report import Verdict
from assay_runner.checks.output_drift import OutputDrift
from assay_runner.golden.axes import GoldenAxes
from assay_runner.golden.kept_axes import KeptAxes
from assay_runner.golden.run import golden_outputs
from assay_runner.graphs.sample_axes import SampleAxes
from tests.models import Heard, Samples, constant, loaded, model, node, random, value
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


def asked(proto: onnx.ModelProto, data: Samples, folder: Path, run: bool) -> tuple[str, ...]:
    """What is folded, measured beside a golden run, as audits do, or without one."""
    made = loaded(proto, folder)
    axes = GoldenAxes(made, data, folder)
    if run:
        list(golden_outputs(made, data, "fp32", folder / "golden", Heard(), axes))
    return axes.kept.folded


@pytest.mark.parametrize("run", [True, False], ids=["beside a run", "alone"])
@pytest.mark.parametrize("rows", [1, 2])
@pytest.mark.parametrize("steps", [4, 7, 25])
def test_rows_by_step_are_not_taken_for_it_where_steps_are_alike(
    steps: int, rows: int, run: bool, tmp_path: Path
) -> None:
    """Views of each sample, or heads: by a few rows each is as near the next view's as its own."""
    scales = np.linspace(1, 1.06, steps, dtype=np.float32).reshape(-1, 1, 1)
    nodes = [node("Mul", "x scales", "m"), node("Reshape", "m rows", "y")]
    weights = [constant("scales", scales), constant("rows", [-1, 8 // rows])]
    proto = model(nodes, [value("x", "N", 8)], [value("y", "rows", 8 // rows)], weights)
    assert asked(proto, Samples({"x": random(24, 8, seed=3)}, batch=8), tmp_path, run) == ()


@pytest.mark.parametrize("run", [True, False], ids=["beside a run", "alone"])
@pytest.mark.parametrize("batch", [2, 3, 4, 5])
def test_any_batch_of_several_tells(batch: int, run: bool, tmp_path: Path) -> None:
    assert asked(tokens(), Samples({"x": random(10, STEPS, 8)}, batch=batch), tmp_path, run) == ("y",)


@pytest.mark.parametrize("run", [True, False], ids=["beside a run", "alone"])
@pytest.mark.parametrize("batch", [3, 5])
def test_a_model_that_takes_one_number_of_samples_and_does_not_say_so(batch: int, run: bool, tmp_path: Path) -> None:
    proto = tokens()
    [rows] = [each for each in proto.graph.initializer if each.name == "rows"]
    rows.CopyFrom(constant("rows", [batch * STEPS, 8]))
    assert asked(proto, Samples({"x": random(10, STEPS, 8)}, batch=batch, fixed=True), tmp_path, run) == ("y",)


@pytest.mark.parametrize("run", [True, False], ids=["beside a run", "alone"])
@pytest.mark.parametrize("batch", [2, 3, 4, 6])
def test_a_table_that_the_samples_of_one_batch_fill_is_no_axis_of_theirs(batch: int, run: bool, tmp_path: Path) -> None:
    """All of them, stretched to 12 rows: as many of each as that leaves."""
    stretch = onnx.helper.make_node("Resize", ["plane", "", "", "size"], ["s"], mode="nearest")
    nodes = [node("Reshape", "x flat", "plane"), stretch, node("Reshape", "s rows", "y")]
    weights = [constant("flat", [1, 1, -1, 8]), constant("size", [1, 1, 12, 8]), constant("rows", [12, 8])]
    proto = model(nodes, [value("x", "N", 8)], [value("y", 12, 8)], weights)
    assert asked(proto, Samples({"x": random(12, 8)}, batch=batch), tmp_path, run) == ()


def test_what_was_found_is_kept() -> None:
    kept = KeptAxes.model_validate_json(KeptAxes(folded=("y",)).model_dump_json())
    assert kept.over(SampleAxes({"y": 0, "z": 0})) == SampleAxes({"z": 0}, folded=frozenset({"y"}))
