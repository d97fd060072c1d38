"""What golden itself does not hold is not asked of a candidate: `assay run` on sums that cancel."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from assay_api.report import Report
from tests.cli.audits import FP32, Ended, report_of, run
from tests.models import constant, model, node, random, value
from tests.runner.io.made import shard

WIDTH = 64
WEIGHTS = np.round(1e5 * random(WIDTH, 3, seed=3))
BOTH = np.concatenate([WEIGHTS, random(WIDTH, 3, seed=4) - WEIGHTS]).astype(np.float32)
"""Of inputs whose halves are alike all but a millionth cancels."""
ANOTHER = {**FP32, "name": "another", "model": {"uri": "file://./another.onnx"}}


def summed(*parts: slice) -> onnx.ModelProto:
    """The same sums, a part of their terms after the other."""
    nodes, weights = [], []
    for number, part in enumerate(parts):
        weights += [constant(f"w{number}", BOTH[part]), constant(f"at{number}", np.arange(2 * WIDTH)[part])]
        nodes.append(node("Gather", f"x at{number}", f"x{number}", axis=1))
        nodes.append(node("MatMul", f"x{number} w{number}", f"y{number}"))
    nodes.append(node("Sum", " ".join(f"y{number}" for number in range(len(parts))), "y"))
    return model(nodes, [value("x", "N", 2 * WIDTH)], [value("y", "N", 3)], weights)


def audited(folder: Path, capsys: pytest.CaptureFixture[str], **changes: Any) -> tuple[Ended, Report]:
    """Candidates in FP32: the model itself, and another model of the same sums, in another order."""
    if not (folder / "data").exists():
        onnx.save(summed(slice(None)), folder / "model.onnx")
        onnx.save(summed(slice(None, None, 2), slice(1, None, 2)), folder / "another.onnx")
        half = random(24, WIDTH, seed=5)
        shard(folder / "data" / "part-0.npz", x=np.concatenate([half, half], axis=1))
    dataset = {"uri": "file://./data/", "batch": 8}
    ended = run(folder, capsys, **{"dataset": dataset, "candidates": [FP32, ANOTHER], **changes})
    return ended, report_of(folder)


def verdicts(report: Report) -> dict[str, str]:
    return {candidate.name: str(candidate.verdict) for candidate in report.candidates}


@pytest.mark.parametrize("limit", [{"snr": 90}, {"maxAbs": 1e-7}, {"maxRel": 1e-7}, {"psnr": 90}])
def test_a_limit_that_golden_does_not_hold_is_inconclusive(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], limit: dict[str, float]
) -> None:
    ended, report = audited(tmp_path, capsys, checks=[{"outputDrift": limit}])
    assert verdicts(report) == {"fp32": "Passed", "another": "Inconclusive"}
    [message] = [finding.message for finding in report.findings if finding.verdict == "Inconclusive"]
    assert "below golden's own noise: golden itself, in FP32, has" in message
    assert "set golden.precision: fp64" in message
    assert "golden.precision: fp64" in ended.out
    [entry] = [entry for entry in report.golden.floors or () if entry.against == "fp64"]
    [metric] = limit
    shown = {candidate.name: candidate.outputs[0].metrics[metric] for candidate in report.candidates}
    assert shown["another"].floor == {"snr": entry.snr, "maxAbs": entry.max_abs, "maxRel": entry.max_rel,
                                      "psnr": entry.psnr}[metric]  # fmt: skip
    page = (tmp_path / "out" / "another" / "report.html").read_text()
    assert "Golden's own" in page or "Golden&#x27;s own" in page


def test_with_golden_in_fp64_it_is_judged(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, report = audited(tmp_path, capsys, checks=[{"outputDrift": {"snr": 90}}], golden={"precision": "fp64"})
    assert verdicts(report) == {"fp32": "Failed", "another": "Failed"}
    _, report = audited(tmp_path, capsys, checks=[{"outputDrift": {"snr": 20}}], golden={"precision": "fp64"})
    assert verdicts(report) == {"fp32": "Passed", "another": "Passed"}


def test_an_error_far_beyond_golden_s_noise_is_the_candidate_s_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tf32 = {**FP32, "name": "tf32", "precision": "tf32"}
    ended, report = audited(tmp_path, capsys, candidates=[tf32], checks=[{"outputDrift": {"snr": 90}}])
    assert (ended.code, verdicts(report)) == (1, {"tf32": "Failed"})
    assert "below golden's own noise" in report.findings[0].message


def test_a_limit_that_golden_holds_is_judged_as_ever(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, report = audited(tmp_path, capsys, checks=[{"outputDrift": {"snr": 20}}])
    assert verdicts(report) == {"fp32": "Passed", "another": "Passed"}
    assert not any("noise" in finding.message for finding in report.findings)


def test_noise_is_measured_once_and_where_a_limit_asks_for_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a model that is not small; what another audit left in the cache is completed."""
    monkeypatch.setattr("assay_runner.tasks.golden_noise.WEIGHTS", 0)
    asked = "golden's own noise: a few samples in FP64"
    loose, report = audited(tmp_path, capsys, checks=[{"outputDrift": {"snr": 20}}])
    assert asked not in loose.err
    usual = {"reordered": 2, "unoptimised": 2}
    assert {entry.against: entry.samples for entry in report.golden.floors or ()} == usual
    strict, report = audited(tmp_path, capsys, checks=[{"outputDrift": {"snr": 90}}])
    assert "golden outputs taken from the cache" in strict.err
    assert asked in strict.err
    assert {entry.against: entry.samples for entry in report.golden.floors or ()} == {"fp64": 2, **usual}
    again, report = audited(tmp_path, capsys, checks=[{"outputDrift": {"snr": 95}}])
    assert asked not in again.err
    assert verdicts(report) == {"fp32": "Passed", "another": "Inconclusive"}
