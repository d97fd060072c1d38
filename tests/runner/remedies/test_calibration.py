"""Calibrations that fail, and the ones that cure: whole audits by ONNX Runtime, the stored model run by it alone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from assay_api.report import Verdict
from tests.cli.audits import write
from tests.models import value
from tests.runner.remedies.calibrated import (
    DIGITS,
    FEATURES,
    audit,
    classes,
    entry,
    given,
    int8,
    labels,
    larger_spike,
    repair_of,
    repaired,
    report_of,
    spikes,
    three_classes,
)


def right_alone(folder: Path, uri: str, x: object) -> float:
    """Share of samples that a stored model gets right in plain ONNX Runtime."""
    options = onnxruntime.SessionOptions()
    options.add_session_config_entry("session.disable_quant_qdq", "1")
    path = uri.removeprefix("file://")
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    found = np.argmax(session.run(None, {"x": x})[0], axis=1)
    return float(np.mean(found == labels(folder / "model.onnx", x)))


def test_where_entropy_cuts_what_decides_another_method_cures(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given(tmp_path, larger_spike(), spikes(1024, seed=1), spikes(128, seed=2))
    report = repaired(tmp_path, capsys, audit([int8(method="entropy")], {"calibration": {}}))
    found = entry(report, "calibration")
    assert found.outcome == "Cured", found.message
    [candidate] = report.candidates
    assert (candidate.name, candidate.repaired, candidate.verdict) == ("int8-calibration", "int8", Verdict.PASSED)
    best, *others = found.calibrations
    assert best.chosen
    assert not any(each.chosen for each in others)
    assert best.method != "entropy"
    assert best.metric == "top1Kept"
    assert {each.verdict for each in found.calibrations if each.method == "entropy"} == {Verdict.FAILED}
    shares = {each.percentile for each in found.calibrations if each.method == "percentile"}
    assert shares == {99.9, 99.99, 99.999, 99.9999}
    assert {each.method for each in found.calibrations} == {"entropy", "minmax", "percentile", "mse"}
    assert {each.samples for each in found.calibrations} == {128, 32}
    assert {each.per_channel for each in found.calibrations} == {True, False}
    # What it cut is named with the share that it kept, beside the figure of the candidate's own way.
    assert found.coverage is not None
    assert found.coverage.clipped["x"] < 0.6
    assert "where entropy from 128 samples, weights per channel has" in found.message
    assert found.coverage.inside > 0.999
    assert found.deploy.model is not None
    assert right_alone(tmp_path, found.deploy.model, spikes(512, seed=9)) >= 0.95


def test_a_quarter_that_misses_a_class_is_cured_by_the_full_set(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    calibration = np.concatenate([classes(16, seed=3, rare=False), classes(48, seed=4)])
    data = classes(1024, seed=5)
    given(tmp_path, three_classes(), data, calibration)
    report = repaired(tmp_path, capsys, audit([int8(method="minmax", samples=16)], {"calibration": {}}))
    found = entry(report, "calibration")
    assert found.outcome == "Cured", found.message
    best = found.calibrations[0]
    assert (best.samples, best.source) == (64, "calibration")
    assert {each.verdict for each in found.calibrations if each.samples == 16} == {Verdict.FAILED}
    # The quarter does not stand for the dataset: by how much, in which tensor, and which samples would mend it.
    covered = found.coverage
    assert covered is not None
    searched = np.concatenate([data[start : start + 64] for start in range(64, 1024, 128)])
    outside = np.abs(searched) > np.abs(calibration[:16]).max()
    assert covered.samples == len(searched) == 512
    assert covered.inside == pytest.approx(1 - outside.mean())
    assert covered.least == {"x": pytest.approx(1 - outside.mean())}
    assert len(covered.mending) == 10
    furthest = np.abs(data[list(covered.mending)]).max(axis=1)
    assert furthest.min() > 39
    assert str(covered.mending[0]) in found.message


def test_a_set_of_other_images_is_cured_by_samples_of_the_dataset(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    candidate = int8(method="minmax", uri=f"file://{DIGITS}/calib-poor/")
    spec = audit(
        [candidate], {"calibration": {}}, model={"uri": f"file://{DIGITS}/digits-cnn.onnx"},
        dataset={"uri": f"file://{DIGITS}/data/", "labels": "label", "batch": 64},
    )  # fmt: skip
    found = entry(repaired(tmp_path, capsys, spec), "calibration")
    assert found.outcome == "Cured", found.message
    assert {each.verdict for each in found.calibrations if each.source == "calibration"} == {Verdict.FAILED}
    assert found.calibrations[0].source == "dataset"
    assert found.calibrations[0].samples == 192
    assert "its ranges and this figure are of different samples of it" in found.message


def test_what_no_calibration_mends_is_said_with_the_nearest(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given(tmp_path, larger_spike(), spikes(512, seed=1), spikes(64, seed=2))
    checks = [{"outputDrift": {"snr": 90}}]
    found = entry(repaired(tmp_path, capsys, audit([int8()], {"calibration": {}}, checks=checks)), "calibration")
    assert found.outcome == "NotCured"
    assert "calibrations passes; the nearest is" in found.message
    assert not any(each.chosen for each in found.calibrations)
    margins = [each.margin or 0.0 for each in found.calibrations]
    assert margins == sorted(margins, reverse=True)


@pytest.mark.parametrize(
    ("candidate", "words"),
    [
        ({"name": "half", "backend": "onnxruntime", "precision": "fp16"}, "fp16 needs no calibration"),
        (
            {
                "name": "qat", "backend": "onnxruntime", "precision": "int8",
                "model": {"uri": f"file://{DIGITS}/digits-cnn-qat.onnx"},
            },
            "the candidate's own model brings its Q/DQ pairs",
        ),
    ],
)  # fmt: skip
def test_what_is_not_calibrated_here_is_told(
    candidate: dict[str, object], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = audit(
        [candidate], {"calibration": {}}, model={"uri": f"file://{DIGITS}/digits-cnn.onnx"},
        dataset={"uri": f"file://{DIGITS}/data/", "batch": 64, "samples": 128}, checks=[{"outputDrift": {"snr": 200}}],
    )  # fmt: skip
    found = entry(repaired(tmp_path, capsys, spec), "calibration")
    assert found.outcome == "DoesNotApply"
    assert words in found.message


def test_a_budget_that_is_spent_keeps_the_best_so_far(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given(tmp_path, larger_spike(), spikes(1024, seed=1), spikes(128, seed=2))
    spec = audit([int8(method="entropy")], {"calibration": {}, "budget": {"proposals": 5}})
    report = repaired(tmp_path, capsys, spec)
    found = entry(report, "calibration")
    # FP32, the candidate's own way and two others; the last is the audit of the better one.
    assert repair_of(report).proposals == 5
    assert len(found.calibrations) == 3
    assert found.outcome == "Cured", found.message


def test_a_repair_that_was_killed_finds_its_trials_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given(tmp_path, larger_spike(), spikes(1024, seed=1), spikes(128, seed=2))
    spec = audit([int8(method="entropy")], {"calibration": {}})
    file, out = write(tmp_path, spec), tmp_path / "out"
    program = "import sys; from assay_runner.cli import run_command; sys.exit(run_command(sys.argv[1:]))"
    words = [sys.executable, "-c", program, "run", "-f", file, "--out", str(out)]
    begun = subprocess.Popen(words, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    kept = out / "cache" / "trials"
    while len(list(kept.glob("*.json"))) < 4:
        assert begun.poll() is None, "it ended before it could be killed"
        time.sleep(0.01)
    os.killpg(begun.pid, signal.SIGKILL)
    begun.wait()
    before = len(list(kept.glob("*.json")))
    assert not (out / "repair" / "report.json").exists()
    assert list((out / "cache" / "ranges").glob("*.json"))
    found = entry(repaired(tmp_path, capsys, spec), "calibration")
    assert found.outcome == "Cured"
    trials = repair_of(report_of(tmp_path)).trials
    assert [trial.known for trial in trials[:before]] == [True] * before
    assert not trials[before].known


@pytest.mark.parametrize("batch", [32, "N"])
def test_whole_batches_and_a_dataset_of_one_batch(
    batch: int | str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A model that takes batches of 32 only; and a dataset of a single batch, of which rows are searched with."""
    proto = larger_spike()
    proto.graph.input[0].CopyFrom(value("x", batch, FEATURES))
    proto.graph.output[0].CopyFrom(value("logits", batch, 2))
    given(tmp_path, proto, spikes(512, seed=1), np.concatenate([spikes(40, seed=2) / 50, spikes(60, seed=3)]))
    spec = audit(
        [int8(method="minmax", samples=20)], {"calibration": {"samples": [50]}},
        dataset={"uri": "file://./data/", "labels": "label", "batch": 512},
    )  # fmt: skip
    found = entry(repaired(tmp_path, capsys, spec), "calibration")
    sizes = {each.samples for each in found.calibrations}
    assert sizes == ({32, 64, 100} if batch == 32 else {20, 50, 100})
    assert found.outcome in ("Cured", "Inconclusive"), found.message
    assert found.calibrations[0].samples != min(sizes)
    assert found.coverage is not None
    assert found.coverage.samples == 256
    assert found.coverage.inside < 1
