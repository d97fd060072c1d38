"""What a run says of what failed: how much of it, what it means, what to do, and the worst of it first."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from assay_runner.checks.drift_told import breaching
from tests.cli.audits import FP32, SAMPLES, TENSORRT, good, report_of, run
from tests.runner.io.made import info, save

BF16 = {"name": "bf16", "backend": "onnxruntime", "precision": "bf16"}
FP16 = {"name": "fp16", "backend": "onnxruntime", "precision": "fp16"}
DRIFT = [{"outputDrift": {"snr": 55}}]
LABELS: dict[str, Any] = {"labelAccuracy": {}}


def test_a_failure_says_how_many_what_labels_say_and_what_is_next(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good(tmp_path)
    assert run(tmp_path, capsys, candidates=[BF16], checks=[*DRIFT, LABELS]).code == 1
    [found] = [f for f in report_of(tmp_path).findings if f.check == "outputDrift"]
    assert re.search(
        rf"; 15 of {SAMPLES} samples breach it, the worst first: 22, (\d+, ){{3}}\d+ and 10 more; ", found.message
    )
    assert f"top-1 is golden's in {SAMPLES} of {SAMPLES} samples" in found.message
    assert f"the label is right in {SAMPLES} (golden: {SAMPLES})" in found.message
    assert (
        "; next: judge by `topKAgreement` of outputDrift or by labelAccuracy if the label is all that is used"
        in found.message
    )
    assert "add layerDrift to see where the error starts" in found.message
    assert found.message.endswith("`assay repair` look for what to keep wider")
    run(tmp_path, capsys, candidates=[BF16], checks=[*DRIFT, {"layerDrift": {}}])
    [found] = [f for f in report_of(tmp_path).findings if f.check == "outputDrift"]
    assert "add layerDrift" not in found.message
    assert "label is right" not in found.message


def test_a_breach_inside_says_whether_the_outputs_hold_and_what_is_next(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Labels and outputs as they should be, and a page that only says where the error is spread: what to do with it?"""
    good(tmp_path)
    inside = {"layerDrift": {"snr": 90, "localSnr": 90}}
    assert run(tmp_path, capsys, candidates=[BF16], checks=[{"outputDrift": {"snr": 20}}, inside]).code == 1
    [found] = [f for f in report_of(tmp_path).findings if f.check == "layerDrift"]
    assert found.message.endswith(
        "; all the same, the outputs hold (outputDrift passed); next: leave layerDrift out if they are all that is "
        "used, or let `assay repair` look for what to keep wider"
    )
    # Where an output breaches too, or nothing was asked of outputs, nothing of the kind is said.
    for checks in ([{"outputDrift": {"snr": 90}}, inside], [inside]):
        assert run(tmp_path, capsys, candidates=[BF16], checks=checks).code == 1
        [found] = [f for f in report_of(tmp_path).findings if f.check == "layerDrift"]
        assert "all the same" not in found.message


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ([1.0], ""),
        ([1.0, 2.0], "; all 2 samples breach it"),
        ([1.0, 30.0, 20.0], "; the other 2 hold it"),
        ([30.0, 5.0, np.nan, 17.0, -3.0], "; 3 of 5 samples breach it, the worst first: 12, 14, 11"),
        ([*range(1, 9), 20.0], "; 8 of 9 samples breach it, the worst first: 10, 11, 12, 13, 14 and 3 more"),
    ],
)
def test_the_samples_that_breach_are_named_the_worst_first(values: list[float], told: str) -> None:
    samples = np.arange(10, 10 + len(values))
    assert breaching(np.array(values, np.float64), samples, 17.0, True) == told
    assert breaching(-np.array(values, np.float64), samples, -17.0, False) == told


def test_the_headline_shows_the_worst_failure_not_the_first(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good(tmp_path)
    checks = [{"outputDrift": {"snr": 100}}]
    assert run(tmp_path, capsys, candidates=[FP16, BF16], checks=checks).code == 1
    page = re.sub(r"<[^>]+>", "", (tmp_path / "out" / "report.html").read_text())
    assert "bf16: output &#x27;y&#x27;: snr 4" in page or "bf16: output 'y': snr 4" in page
    head = page[: page.index("Candidates side")] if "Candidates side" in page else page[:4000]
    assert "fp16: output" not in head.split("bf16: output")[0]


def _with_pairs(path: Path, zero: int, *, constant: bool = False) -> None:
    """x → Q/DQ → MatMul, one zero point of which is `zero`."""
    weight = numpy_helper.to_array(onnx.load(path.with_name("model.onnx")).graph.initializer[0])
    scale = numpy_helper.from_array(np.array(0.03, np.float32), "s")
    shift = numpy_helper.from_array(np.array(zero, np.int8), "z")
    made = [helper.make_node("Constant", [], ["z"], value=shift)] if constant else []
    nodes = [
        *made,
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"], name="quantise"),
        helper.make_node("DequantizeLinear", ["q", "s", "z"], ["d"]),
        helper.make_node("MatMul", ["d", "w"], ["y"]),
    ]
    weights = [numpy_helper.from_array(weight, "w"), scale, *([] if constant else [shift])]
    save(path, nodes, [info("x", ["batch", 3])], [info("y", ["batch", 4])], initializer=weights)


OWN: dict[str, Any] = {"precision": "int8", "model": {"uri": "file://./own.onnx"}}


@pytest.mark.parametrize("constant", [False, True])
def test_a_zero_point_that_tensorrt_refuses_is_told_without_a_gpu(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], *, constant: bool
) -> None:
    good(tmp_path)
    _with_pairs(tmp_path / "own.onnx", 5, constant=constant)
    checks: list[dict[str, Any]] = [{"finite": {}}]
    engine = {**TENSORRT, **OWN, "name": "engine", "typing": "strong"}
    ended = run(tmp_path, capsys, "--backend", "onnxruntime", candidates=[engine], checks=checks)
    assert ended.code == 2
    assert ended.complaints == [
        "assay: candidate engine: no engine can be built of own.onnx: 2 of 2 QuantizeLinear and DequantizeLinear nodes "
        "have a zero point other than 0 (first 'quantise': 5), and TensorRT takes 0 alone: quantise symmetrically, in "
        "onnxruntime.quantization by ActivationSymmetric and WeightSymmetric"
    ]
    here = {**OWN, "name": "here", "backend": "onnxruntime"}
    assert run(tmp_path, capsys, candidates=[here], checks=checks).code == 0
    assert any("TensorRT takes 0 alone" in note for note in report_of(tmp_path).candidates[0].notes)


def test_zero_points_of_0_are_no_matter(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good(tmp_path)
    _with_pairs(tmp_path / "own.onnx", 0)
    engine = {**TENSORRT, **OWN, "name": "engine", "typing": "strong"}
    cpu = ("--backend", "onnxruntime")
    assert run(tmp_path, capsys, *cpu, candidates=[engine, FP32], checks=[{"finite": {}}]).code == 0
    assert not any("zero point" in note for c in report_of(tmp_path).candidates for note in c.notes)
