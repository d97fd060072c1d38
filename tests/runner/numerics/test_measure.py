"""From a model to findings: what goes wrong is named where it starts, and nothing unmeasured passes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from assay_api.report import Finding, Verdict
from assay_runner.checks.finite import Finite
from assay_runner.checks.label_accuracy import LabelAccuracy
from assay_runner.checks.layer_drift import LayerDrift
from assay_runner.checks.output_drift import OutputDrift
from assay_runner.checks.run_to_run import RunToRun
from assay_runner.errors import InvalidInput
from assay_runner.passes.budgets import Budgets
from assay_runner.trial.measure import Measured, measure
from tests.models import (
    Samples,
    branching,
    constant,
    convolutions,
    embedding,
    layer_norm,
    masked,
    mlp,
    model,
    node,
    noisy,
    random,
    value,
)
from tests.runner.numerics.candidates import USUAL, int8, measured, prepared
from tests.wire import details

WIDE = random(20, 16, seed=4, scale=300)


def finding(result: Measured, check: str) -> Finding:
    [found] = [f for f in result.findings if f.check == check]
    return found


def test_overflow_of_a_decomposed_layer_norm_is_named_at_its_pow(tmp_path: Path) -> None:
    result = measured(layer_norm(), "fp16", Samples({"x": WIDE}), tmp_path)
    found = finding(result, "finite")
    assert (found.verdict, found.tensor, found.node) == (Verdict.FAILED, "squared", "squared.node")
    assert "+Inf in 20 of 20 samples" in found.message
    assert "golden has other values there" in found.message
    drift = finding(result, "layerDrift")
    assert (drift.verdict, drift.tensor, drift.metric) == (Verdict.FAILED, "squared", "localSnr")
    assert result.report.verdict is Verdict.FAILED
    assert result.findings[0].verdict is Verdict.FAILED


@pytest.mark.parametrize("precision", ["fp32", "bf16", "tf32"])
def test_wider_ranges_do_not_overflow(precision: str, tmp_path: Path) -> None:
    result = measured(layer_norm(), precision, Samples({"x": WIDE}), tmp_path)
    assert finding(result, "finite").verdict is Verdict.PASSED
    assert result.report.emulated == (precision != "fp32")


@pytest.mark.parametrize("layers", [True, False])
def test_infinite_by_design_is_no_fault_of_the_candidate(layers: bool, tmp_path: Path) -> None:
    keep = np.array([[True, True, False, True]] * 6)
    data = Samples({"x": random(6, 4), "keep": keep}, batch=4)
    result = measured(masked(), "fp16", data, tmp_path, Finite(), *((LayerDrift(),) if layers else ()))
    found = finding(result, "finite")
    assert found.verdict is Verdict.PASSED
    assert "golden has the same values" in found.message
    assert details(found)["asGolden"][0] | {"samples": 6} == {
        "tensor": "scores", "node": "scores.node", "op": "Where", "what": "-Inf", "samples": 6, "firstSample": 0,
    }  # fmt: skip


@pytest.mark.parametrize("layers", [True, False])
def test_faults_are_counted_in_samples_and_not_in_padding(layers: bool, tmp_path: Path) -> None:
    x = random(10, 16, seed=1)
    x[6] *= 3000
    x[9] *= 3000
    data = Samples({"x": x}, batch=4, fixed=True)
    result = measured(layer_norm(), "fp16", data, tmp_path, Finite(), *((LayerDrift(),) if layers else ()))
    found = finding(result, "finite")
    assert (found.value, found.verdict) == (2, Verdict.FAILED)
    assert "first in sample 6" in found.message
    assert result.report.samples == 10


@pytest.mark.parametrize("golden", ["fp32", "fp64"])
@pytest.mark.parametrize("fixed", [True, False])
def test_local_error_starts_where_golden_inputs_go_wrong(golden: Any, fixed: bool, tmp_path: Path) -> None:
    data = Samples({"x": random(10, 4, 9, 9)}, batch=4, fixed=fixed)
    result = measured(convolutions(), "bf16", data, tmp_path, LayerDrift(), OutputDrift(), golden=golden)
    layers = {layer.name: layer for layer in result.report.layers}
    assert list(layers) == ["c", "n", "r", "p", "f", "logits"]
    starts = {name: layer.starts_here or 0.0 for name, layer in layers.items()}
    assert starts["c"] > 0.99
    # Of the first 8 samples and of all 10.
    assert layers["c"].local_snr == pytest.approx(layers["c"].accumulated_snr, abs=0.2)
    assert layers["r"].starts_here is not None
    assert starts["r"] < 1e-3
    assert all(30 < (layer.accumulated_snr or 0) < 80 for layer in layers.values())
    assert result.report.verdict is Verdict.PASSED


def test_the_same_model_has_no_error_at_any_tensor(tmp_path: Path) -> None:
    result = measured(convolutions(), "fp32", Samples({"x": random(10, 4, 9, 9)}), tmp_path)
    errors = {layer.name: (layer.accumulated_snr, layer.local_snr) for layer in result.report.layers}
    assert errors == dict.fromkeys(("c", "n", "r", "p", "f", "logits"), (np.inf, np.inf))
    assert {f.verdict for f in result.findings} == {Verdict.PASSED}
    assert result.report.latency is not None
    assert result.report.latency.batch == 8


def test_random_nodes_are_named_by_run_to_run(tmp_path: Path) -> None:
    result = measured(noisy(), "fp32", Samples({"x": random(6, 4)}, batch=4), tmp_path, RunToRun(runs=3, batches=2))
    found = finding(result, "runToRun")
    assert found.verdict is Verdict.FAILED
    assert "RandomNormalLike" in found.message
    assert "in 2 of 2 further runs of one session" in found.message
    everyone = {"sameSession", "newSession", "newProcess", "underLoad"}
    assert {d["condition"] for d in details(found)["differences"]} == everyone


def test_integers_sequences_and_several_outputs(tmp_path: Path) -> None:
    ids = np.random.default_rng(0).integers(0, 10, (12, 3))
    result = measured(embedding(), "fp16", Samples({"ids": ids}), tmp_path)
    assert {f.verdict for f in result.findings} == {Verdict.PASSED}
    assert [output.name for output in result.report.outputs] == ["y", "class"]
    assert any("pair" in note for note in result.report.notes)


def test_control_flow_in_every_pass(tmp_path: Path) -> None:
    result = measured(branching(), "fp16", Samples({"x": np.abs(random(9, 4))}), tmp_path, golden="fp64")
    verdicts = {finding.check: finding.verdict for finding in result.findings}
    seen, unseen = Verdict.PASSED, Verdict.INCONCLUSIVE
    assert verdicts == {"finite": unseen, "layerDrift": unseen, "outputDrift": seen, "runToRun": seen}
    assert all("node 'y.node' (If)" in f.message for f in result.findings if f.verdict is unseen)
    assert {layer.name for layer in result.report.layers} == {"h", "total", "y", "z"}


@pytest.mark.parametrize("batches", [0, 1, 2, 4])
def test_golden_outputs_of_more_or_fewer_batches_are_refused(batches: int, tmp_path: Path) -> None:
    """Judging only those that both have would pass on samples that nobody compared."""
    asked, checks = prepared(mlp(), "fp16", Samples({"x": random(20, 8)}), tmp_path, OutputDrift())
    outputs = list(asked.reference.outputs)
    asked.reference.outputs = [*outputs, *outputs][:batches]
    with pytest.raises(InvalidInput, match="golden outputs and dataset have different numbers of batches"):
        measure(asked, checks)


def test_labels_against_both_runs(tmp_path: Path) -> None:
    x = random(600, 8)
    data = Samples({"x": x}, np.zeros(600, np.int64), batch=64)
    report, [found] = measured(mlp(), "fp16", data, tmp_path, LabelAccuracy(keep=0.9))
    assert report.accuracy.keys() == {"top1", "goldenTop1"}
    hits = details(found)["bothHit"] + details(found)["onlyGoldenHits"]
    assert hits / 600 == pytest.approx(report.accuracy["goldenTop1"])
    assert found.verdict is Verdict.PASSED


BAD_LABELS: dict[str, tuple[Any, dict[str, Any], str]] = {
    "above": (np.array([0, 9, 0]), {}, "label 9 of sample 1"),
    "below": (np.array([0, 0, -1]), {}, "label -1 of sample 2"),
    "no labels": (None, {}, "needs labels"),
    "no such output": (np.zeros(3, np.int64), {"output": "nothing"}, "outputs are logits"),
}


@pytest.mark.parametrize("case", BAD_LABELS)
def test_labels_that_cannot_be_judged(case: str, tmp_path: Path) -> None:
    labels, parameters, message = BAD_LABELS[case]
    with pytest.raises(InvalidInput, match=message):
        measured(mlp(), "fp32", Samples({"x": random(3, 8)}, labels), tmp_path, LabelAccuracy(**parameters))


def test_scores_of_the_wrong_rank(tmp_path: Path) -> None:
    proto = model([node("Relu", "x", "y")], [value("x", "N", 3, 5)], [value("y", "N", 3, 5)])
    data = Samples({"x": random(4, 3, 5)}, np.zeros(4, np.int64))
    with pytest.raises(InvalidInput, match=r"shape \(samples, classes\), but output 'y' has shape \[4, 3, 5\]"):
        measured(proto, "fp32", data, tmp_path, LabelAccuracy())


def test_an_output_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="outputs are logits"):
        measured(mlp(), "fp32", Samples({"x": random(3, 8)}), tmp_path, OutputDrift(outputs=("logit",)))


def test_a_node_that_fails_on_the_data_is_named(tmp_path: Path) -> None:
    proto = model(
        [node("Gather", "table ids", "y")],
        [value("ids", "N", kind=onnx.TensorProto.INT64)],
        [value("y", "N", 2)],
        [constant("table", random(3, 2))],
    )
    with pytest.raises(InvalidInput, match=r"node 'y\.node' \(Gather\) failed: indices element out of data bounds"):
        measured(proto, "fp32", Samples({"ids": np.array([0, 7])}), tmp_path, OutputDrift())


def test_two_checks_of_a_kind_are_both_judged(tmp_path: Path) -> None:
    checks = (OutputDrift(max_abs=1), OutputDrift(max_abs=0), RunToRun(runs=2), RunToRun(runs=3, batches=1))
    result = measured(mlp(), "fp16", Samples({"x": random(9, 8)}), tmp_path, *checks)
    assert [f.verdict for f in result.findings if f.check == "outputDrift"] == [Verdict.FAILED, Verdict.PASSED]
    assert len([f for f in result.findings if f.check == "runToRun"]) == 2


def test_int8_error_starts_at_what_is_quantised(tmp_path: Path) -> None:
    x = random(40, 4, 9, 9)
    data = Samples({"x": x})
    poor = Samples({"x": x[:4] / 50})
    result = measured(convolutions(), int8(method="minmax"), data, tmp_path, LayerDrift(), calibration=poor)
    found = finding(result, "layerDrift")
    assert (found.verdict, found.tensor) == (Verdict.FAILED, "c")


def test_every_report_survives_its_own_format(tmp_path: Path) -> None:
    report, findings = measured(layer_norm(), "fp16", Samples({"x": WIDE}), tmp_path)
    for made in (report, *findings):
        assert type(made).model_validate_json(made.model_dump_json(by_alias=True))
    assert {f.check for f in findings} == {check.name for check in USUAL}


@pytest.mark.parametrize("layers", [True, False])
def test_tensors_beyond_what_memory_affords_are_shown_in_parts(layers: bool, tmp_path: Path) -> None:
    x = random(10, 16, seed=1)
    x[[6, 9]] *= 3000
    data, checks = Samples({"x": x}, batch=8), (Finite(), *((LayerDrift(),) if layers else ()))
    whole = measured(layer_norm(), "fp16", data, tmp_path / "whole", *checks)
    split = measured(layer_norm(), "fp16", data, tmp_path / "split", *checks, budgets=Budgets(shown=1000))
    assert finding(split, "finite") == finding(whole, "finite")
    assert [layer.name for layer in split.report.layers] == [layer.name for layer in whole.report.layers]


def test_a_model_of_one_batch_only_is_shown_whole(tmp_path: Path) -> None:
    proto = model(
        [node("Reshape", "x s", "y")], [value("x", "N", 4)], [value("y", "N", 2)], [constant("s", np.array([6, 4]))]
    )
    data = Samples({"x": random(6, 4)}, batch=6)
    assert measured(proto, "fp16", data, tmp_path, budgets=Budgets(shown=1)).report.verdict is Verdict.PASSED
