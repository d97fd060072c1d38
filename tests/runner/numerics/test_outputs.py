"""Outputs that a figure is blind for or has no value for: scale, single numbers, integers, NaN in golden."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto

from assay_api.report import Finding, Verdict
from assay_runner.checks.finite import Finite
from assay_runner.checks.label_accuracy import LabelAccuracy
from assay_runner.checks.layer_drift import LayerDrift
from assay_runner.checks.output_drift import OutputDrift
from assay_runner.checks.run_to_run import RunToRun
from assay_runner.evidence import Fault, OutputsFound, Reproduction, ShownTensors, TensorFaults
from assay_runner.graphs.sample_axes import SampleAxes
from assay_runner.passes.drifts import Drifts
from assay_runner.tensors import Array, Batch, Site
from tests.evidence import proof
from tests.models import Samples, constant, model, node, random, value
from tests.runner.numerics.candidates import measured

DATA = Samples({"x": random(40, 4, seed=1)})


def scaled(factor: float, width: int | None = 4) -> onnx.ModelProto:
    """x times a factor; of one element per sample, or one number per sample, where asked."""
    nodes = (
        [node("Mul", "x f", "y")]
        if width == 4
        else [node("Mul", "x f", "m"), node("ReduceMean", "m", "y", axes=[1], keepdims=int(width == 1))]
    )
    shape: tuple[Any, ...] = ("N",) if width is None else ("N", width)
    return model(nodes, [value("x", "N", 4)], [value("y", *shape)], [constant("f", np.float32(factor))])


@pytest.mark.parametrize("width", [4, 1, None])
@pytest.mark.parametrize(("factor", "verdict"), [(10, Verdict.FAILED), (1.3, Verdict.FAILED), (1.1, Verdict.PASSED)])
def test_scale_and_single_numbers_are_seen(factor: float, verdict: Verdict, width: int | None, tmp_path: Path) -> None:
    [found] = measured(scaled(1, width), "fp32", DATA, tmp_path, OutputDrift(), own=scaled(factor, width)).findings
    assert (found.verdict, found.metric, found.limit) == (verdict, "snr", 17)


@pytest.mark.parametrize("width", [1, None])
@pytest.mark.parametrize("check", [OutputDrift(cosine=0.9), OutputDrift(top_k_agreement=0.9)])
def test_what_says_nothing_of_single_numbers_is_inconclusive(
    check: OutputDrift, width: int | None, tmp_path: Path
) -> None:
    report, [found] = measured(scaled(1, width), "fp32", DATA, tmp_path, check)
    assert found.verdict is Verdict.INCONCLUSIVE
    assert "one element per sample" in found.message
    assert "snr or maxAbs" in found.message
    assert report.outputs[0].metrics.keys() == {"maxAbs", "maxRel", "psnr", "snr"}


def test_one_class_has_no_top1(tmp_path: Path) -> None:
    data = Samples(DATA.arrays, np.zeros(40, np.int64))
    [found] = measured(scaled(1, 1), "fp32", data, tmp_path, LabelAccuracy()).findings
    assert (found.verdict, "one score per sample" in found.message) == (Verdict.INCONCLUSIVE, True)


def classified(bias: float) -> onnx.ModelProto:
    """An output of floats and one of integers."""
    nodes = [node("Add", "x b", "y"), node("ArgMax", "y", "class", axis=1, keepdims=0)]
    outputs = [value("y", "N", 4), value("class", "N", kind=TensorProto.INT64)]
    return model(nodes, [value("x", "N", 4)], outputs, [constant("b", np.array([bias, 0, 0, 0], np.float32))])


@pytest.mark.parametrize("given", [{}, {"max_abs": 100.0}, {"top_k_agreement": 0.01}])
def test_integers_are_judged_by_equality_whatever_else_is_asked(given: dict[str, Any], tmp_path: Path) -> None:
    report, findings = measured(classified(0), "fp32", DATA, tmp_path, OutputDrift(**given), own=classified(0.5))
    found = {f.tensor: f for f in findings}["class"]
    assert (found.verdict, found.metric, found.limit) == (Verdict.FAILED, "equal", 0.99)
    assert found.value is not None
    assert 0.5 < found.value < 0.99
    metrics = report.outputs[1].metrics
    assert (list(metrics), metrics["equal"].limit) == (["equal"], 0.99)
    [easy] = measured(
        classified(0), "fp32", DATA, tmp_path / "easy", OutputDrift(equal=0.5, outputs=("class",)), own=classified(0.5)
    ).findings
    assert easy.verdict is Verdict.PASSED


def _array(rows: Any) -> Array:
    array = np.array(rows)
    return array.astype(np.float32) if array.dtype.kind == "f" else array


def judged(golden: Any, candidate: Any, check: OutputDrift | None = None) -> Finding:
    """What the check says of an output y, one row per sample."""
    arrays = [_array(rows) for rows in (golden, candidate)]
    outputs = Drifts({"y": Site("y")}, {1}, SampleAxes({"y": 0}))
    outputs.add(Batch(0, len(arrays[0]), {"x": arrays[0]}), {"y": arrays[0]}, {"y": arrays[1]})
    check = check or OutputDrift()
    [found] = check.judge(
        proof(OutputsFound(outputs.result(), outputs.unmeasured), check=check, samples=len(arrays[0]))
    )
    return found


NAN, INF = float("nan"), float("inf")
CASES: dict[str, tuple[Any, Any, Verdict, str]] = {
    "nan in both": (
        [[1.0, NAN], [1.0, 2.0]],
        [[1.0, NAN], [1.0, 2.0]],
        Verdict.PASSED,
        "1 elements that golden has not finite",
    ),
    "nan in the candidate": ([[1.0, 2.0], [1.0, 2.0]], [[1.0, 2.0], [1.0, NAN]], Verdict.FAILED, "candidate holds NaN"),
    "inf in the candidate": ([[1.0, 2.0], [1.0, 2.0]], [[1.0, INF], [1.0, 2.0]], Verdict.FAILED, "candidate holds Inf"),
    "nan in golden": (
        [[1.0, 2.0], [1.0, NAN]],
        [[1.0, 2.0], [1.0, 2.0]],
        Verdict.INCONCLUSIVE,
        "golden holds NaN or Inf in sample 1",
    ),
    "nan in golden, and off elsewhere": (
        [[1.0, 2.0], [1.0, NAN]],
        [[9.0, 9.0], [1.0, 2.0]],
        Verdict.FAILED,
        "in sample 0",
    ),
    "off where golden has nan": ([[1.0, NAN], [1.0, 2.0]], [[9.0, NAN], [1.0, 2.0]], Verdict.FAILED, "snr -18"),
    "nothing finite": ([[NAN, INF]], [[NAN, INF]], Verdict.INCONCLUSIVE, "no finite element"),
    "nothing finite in one sample": ([[NAN], [1.0]], [[NAN], [1.0]], Verdict.PASSED, "the worst of 1"),
    "integers": ([[2**62]], [[2**62 + 1]], Verdict.FAILED, "identical to golden in 0 of 1"),
    "booleans": ([[True], [False]], [[True], [False]], Verdict.PASSED, "identical to golden in 2 of 2"),
    "numbers of another kind": ([[1]], [[1.0]], Verdict.INCONCLUSIVE, "float32 numbers, the golden one int64"),
}


@pytest.mark.parametrize("case", CASES)
def test_outputs_that_are_odd(case: str) -> None:
    golden, candidate, verdict, words = CASES[case]
    found = judged(golden, candidate)
    assert (found.verdict, words in found.message) == (verdict, True), found.message
    assert "-1 in sample" not in found.message


@pytest.mark.parametrize("limits", [{"cosine": 0.9}, {"max_abs": 9.0}, {"snr": 1.0}])
def test_a_figure_that_does_not_exist_is_not_made_up(limits: dict[str, Any]) -> None:
    found = judged([[1.0, 2], [1, 2]], [[1.0, 2], [NAN, 2]], OutputDrift(**limits))
    assert found.verdict is Verdict.FAILED
    assert found.value is not None
    assert np.isnan(found.value)


def test_nan_by_the_model_itself_is_no_fault_of_the_candidate(tmp_path: Path) -> None:
    proto = model(
        [node("Sqrt", "x", "r"), node("IsNaN", "r", "lost"), node("Where", "lost x r", "y"), node("Log", "x", "z")],
        [value("x", "N", 4)],
        [value("y", "N", 4), value("z", "N", 4)],
    )
    findings = measured(proto, "fp32", DATA, tmp_path).findings
    assert {f.verdict for f in findings} == {Verdict.PASSED}, findings
    found = measured(proto, "bf16", DATA, tmp_path / "b", Finite(), LayerDrift()).findings
    assert {f.verdict for f in found} == {Verdict.PASSED}, found


OVERFLOWS: dict[str, tuple[onnx.ModelProto, float, str, str]] = {
    "input": (scaled(1e-3), 1e6, "x", "graph input 'x' overflows in fp16 in 40 samples, first in sample 0"),
    "weight": (scaled(1e6), 1.0, "f", "weight 'f' overflows in fp16 with 1,000,000 (the largest number is 65,504)"),
}


@pytest.mark.parametrize("case", OVERFLOWS)
def test_what_overflows_before_any_node_is_named(case: str, tmp_path: Path) -> None:
    proto, size, tensor, words = OVERFLOWS[case]
    data = Samples({"x": (np.sign(DATA.arrays["x"]) * size).astype(np.float32)})
    [found] = measured(proto, "fp16", data, tmp_path, Finite()).findings
    assert (found.verdict, found.tensor, found.node) == (Verdict.FAILED, tensor, "y.node")
    assert words in found.message
    assert "such as bf16" in found.message


def test_bf16_is_not_advised_to_bf16(tmp_path: Path) -> None:
    least = np.float32(np.finfo(np.float32).min)
    proto = model([node("Add", "x f", "y")], [value("x", "N", 4)], [value("y", "N", 4)], [constant("f", least)])
    for precision in ("bf16", "fp16"):
        [found] = measured(proto, precision, DATA, tmp_path / precision, Finite()).findings
        assert found.verdict is Verdict.FAILED
        assert "such as bf16" not in found.message


def test_a_bound_that_overflows_and_harms_nothing_passes(tmp_path: Path) -> None:
    bound = constant("most", np.float32(1e30))
    proto = model([node("Min", "x most", "y")], [value("x", "N", 4)], [value("y", "N", 4)], [bound])
    [found] = measured(proto, "fp16", DATA, tmp_path, Finite()).findings
    assert found.verdict is Verdict.PASSED
    assert "weight 'most' overflows in fp16" in found.message


def test_a_seed_is_not_advised_where_it_does_not_help(tmp_path: Path) -> None:
    proto = model(
        [node("RandomUniformLike", "x", "noise", seed=1.0), node("Add", "x noise", "y")],
        [value("x", "N", 4)],
        [value("y", "N", 4)],
    )
    [found] = measured(proto, "fp32", DATA, tmp_path, RunToRun()).findings
    assert found.verdict is Verdict.FAILED
    assert "give it a seed" not in found.message


@pytest.mark.parametrize(("served", "verdict"), [(2.0, Verdict.INCONCLUSIVE), (NAN, Verdict.FAILED)])
def test_what_is_infinite_only_when_it_is_shown_is_not_known_of_the_candidate(served: float, verdict: Verdict) -> None:
    """A fused kernel keeps in wider registers what overflows once it has to be written out."""
    outputs = Drifts({"y": Site("y")}, {1}, SampleAxes({"y": 0}))
    outputs.add(Batch(0, 1, {"x": _array([[1.0]])}), {"y": _array([[1.0, 2.0]])}, {"y": _array([[1.0, served]])})
    shown = TensorFaults(1, (Fault(Site("squared", "pow", "Pow"), 1, 0, 1, 0, 0, 1),))
    other = Reproduction(bitwise=False, snr=-INF)
    evidence = proof(
        OutputsFound(outputs.result()), ShownTensors(shown, reproduction=other), samples=1, precision="fp16"
    )
    [found] = Finite().judge(evidence)
    assert (found.verdict, found.node) == (verdict, "pow")
    assert ("when it is shown" in found.message) is (verdict is Verdict.INCONCLUSIVE)
