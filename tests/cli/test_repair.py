"""`assay repair` as a user meets it: cured, not to be cured, not needed, killed and begun again."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
import onnxruntime
import pytest

from assay_api.remedies import Auto, Remedies
from tests.cli.audits import Ended, assay, document, report_of, spec, write
from tests.models import constant, model, node, value
from tests.runner.io.made import shard

FP16: Final = {"name": "fp16", "backend": "onnxruntime", "precision": "fp16"}
FP32: Final = {"name": "fp32", "backend": "onnxruntime", "precision": "fp32"}
CHECKS: Final = [{"finite": {}}, {"outputDrift": {"snr": 30}}]

BEYOND_FP32: Final[dict[str, Any]] = {"golden": {"precision": "fp64"}, "checks": [{"outputDrift": {"snr": 300}}]}
"""A limit that no build in FP32 keeps."""


def overflowing() -> onnx.ModelProto:
    """Two blocks of six; in the first, squares that FP16 cannot hold are made, and made small again."""
    random = np.random.default_rng(3)
    weights = {f"w{block}": random.standard_normal((16, 16)).astype(np.float32) / 4 for block in "01"}
    nodes = [node("Mul", "x x", "square"), node("Mul", "square small", "h")]
    for block, (given, made) in enumerate([("h", "g"), ("g", "logits")]):
        nodes += [node("MatMul", f"{given} w{block}", f"m{block}"), node("Relu", f"m{block}", f"r{block}"),
                  node("Add", f"r{block} one", f"a{block}"), node("Tanh", f"a{block}", f"t{block}"),
                  node("Add", f"t{block} r{block}", made)]  # fmt: skip
    constants = [constant("one", np.float32(1)), constant("small", np.float32(1e-5))]
    return model(
        nodes, [value("x", "N", 16)], [value("logits", "N", 16)],
        [*constants, *(constant(name, array) for name, array in weights.items())],
    )  # fmt: skip


def staged(folder: Path, samples: int = 48) -> None:
    onnx.save(overflowing(), str(folder / "model.onnx"))
    x = (np.random.default_rng(1).standard_normal((samples, 16)) * 400).astype(np.float32)
    shard(folder / "data" / "part-0.npz", x=x)


def audit(folder: Path, **changes: Any) -> str:
    base = {"dataset": {"uri": "file://./data/", "batch": 8}, "candidates": [FP16], "checks": CHECKS}
    base["remedies"] = {"precision": {}}
    return write(folder, document(spec(**{**base, **changes})))


def repair(folder: Path, capsys: pytest.CaptureFixture[str], *words: str, **changes: Any) -> Ended:
    file = audit(folder, **changes)
    return assay(capsys, "repair", "-f", file, "--out", str(folder / "out"), *words)


def note(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "out" / "recommended" / "recommended.json").read_text())
    return found


def outputs(path: Path, folder: Path) -> Any:
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    x = np.load(folder / "data" / "part-0.npz")["x"]
    return session.run(None, {"x": x.astype(np.float32)})[0].astype(np.float64)


def test_what_overflows_in_fp16_is_cured_and_laid_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    staged(tmp_path)
    ended = repair(tmp_path, capsys, remedies={"precision": {"to": ["fp32"]}})
    assert ended.code == 0, ended.err
    report = report_of(tmp_path)
    assert report.verdict == "Failed", "the verdict stays that of what was asked for"
    assert report.recommendation is not None
    assert report.recommendation.candidate == "fp16-precision"
    assert "it is a repair of fp16" in report.recommendation.message
    assert [(c.name, c.repaired, c.verdict) for c in report.candidates] == [
        ("fp16", None, "Failed"), ("fp16-precision", "fp16", "Passed"),
    ]  # fmt: skip
    [entry] = report.repair
    assert (entry.search_samples + entry.unseen_samples, len(entry.trials) > 2) == (48, True)
    assert [trial.split for trial in entry.trials].count("unseen") == 1
    wide = next(remedy.wide for remedy in entry.remedies if remedy.outcome == "Cured")
    assert set(wide) == {"square.node", "h.node"}, "where the squares are made, and where they are read"
    recommended = tmp_path / "out" / "recommended"
    assert (note(tmp_path)["candidate"], note(tmp_path)["repairOf"]) == ("fp16-precision", "fp16")
    assert {*note(tmp_path)["files"], "recommended.json"} == {path.name for path in recommended.iterdir()}
    assert os.access(recommended / "reproduce.sh", os.X_OK)
    assert "trtexec --onnx=model.onnx" in (recommended / "reproduce.sh").read_text()
    error = outputs(recommended / "model.onnx", tmp_path) - (golden := outputs(tmp_path / "model.onnx", tmp_path))
    assert 10 * np.log10(np.sum(golden**2) / np.sum(error**2)) > 30
    assert f"To ship fp16-precision: {recommended} with model.onnx" in ended.out
    assert ended.out.splitlines()[-1] == str(tmp_path / "out" / "report.html")


def test_what_is_right_needs_no_repair(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    staged(tmp_path)
    ended = repair(tmp_path, capsys, candidates=[FP32], remedies=None)
    assert ended.code == 0, ended.err
    report = report_of(tmp_path)
    assert report.repair == ()
    assert report.spec is not None
    assert report.spec.remedies == Remedies(auto=Auto())
    assert "repairOf" not in note(tmp_path)
    assert (tmp_path / "out" / "recommended" / "model.onnx").read_bytes() == (tmp_path / "model.onnx").read_bytes()


def test_a_limit_that_fp32_breaks_too_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    staged(tmp_path)
    ended = repair(tmp_path, capsys, **BEYOND_FP32)
    assert ended.code == 1, ended.err
    assert not (tmp_path / "out" / "recommended").exists()
    assert "Nothing to ship" in ended.out
    [entry] = report_of(tmp_path).repair
    [precision] = [remedy for remedy in entry.remedies if remedy.remedy == "precision"]
    assert precision.outcome == "NotCured"
    assert "FP32" in precision.message
    assert len([trial for trial in entry.trials if trial.remedy == "precision"]) <= 2


def test_data_that_are_made_up_cure_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    staged(tmp_path)
    dataset = {"uri": "file://./data/", "batch": 8, "synthetic": True}
    ended = repair(tmp_path, capsys, dataset=dataset)
    assert ended.code == 1
    assert report_of(tmp_path).recommendation.candidate is None  # type: ignore[union-attr]
    assert not (tmp_path / "out" / "recommended").exists()


def test_of_one_sample_none_is_left_to_confirm_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    staged(tmp_path, samples=1)
    assert repair(tmp_path, capsys).code == 1
    outcomes = {remedy.outcome for remedy in report_of(tmp_path).repair[0].remedies if remedy.remedy == "precision"}
    assert outcomes == {"SearchOnly"}


def test_what_was_to_be_shipped_before_goes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    staged(tmp_path)
    assert repair(tmp_path, capsys, candidates=[FP32]).code == 0
    assert repair(tmp_path, capsys, **BEYOND_FP32).code == 1
    assert not (tmp_path / "out" / "recommended").exists()


def test_a_folder_of_somebody_else_stays(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    staged(tmp_path)
    (tmp_path / "out" / "recommended").mkdir(parents=True)
    (tmp_path / "out" / "recommended" / "mine.txt").write_text("mine")
    ended = repair(tmp_path, capsys)
    assert ended.code == 64
    assert "is in the way" in ended.err
    assert (tmp_path / "out" / "recommended" / "mine.txt").read_text() == "mine"


def test_no_candidate_takes_the_place_of_what_is_to_be_shipped(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    staged(tmp_path)
    ended = repair(tmp_path, capsys, candidates=[{**FP32, "name": "recommended"}])
    assert ended.code == 64
    assert "give that candidate another name" in ended.err


@pytest.mark.parametrize(("most", "outcome", "code"), [(2, "OutOfBudget", 1), (4, "Cured", 0)])
def test_of_a_spent_budget_the_best_so_far_is_left(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], most: int, outcome: str, code: int
) -> None:
    """And a larger one goes on from what the smaller has paid for."""
    staged(tmp_path)
    remedies = {"precision": {}, "budget": {"proposals": most}}
    assert repair(tmp_path, capsys, remedies=remedies).code == code
    assert {remedy.outcome for remedy in report_of(tmp_path).repair[0].remedies} == {outcome}
    before = trials(tmp_path)
    assert repair(tmp_path, capsys, remedies={"precision": {}}).code == 0
    entry = report_of(tmp_path).repair[0]
    assert sum(trial.known for trial in entry.trials) >= len(before)


def test_what_killed_a_process_once_is_tried_again_by_the_next_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The run itself goes on without that trial, and keeps no answer of it."""
    staged(tmp_path)
    with started(tmp_path) as process:
        until = time.monotonic() + 120
        while not trials(tmp_path) and time.monotonic() < until:
            time.sleep(0.01)
        [worker] = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        os.kill(int(worker), signal.SIGKILL)
        said = process.communicate(timeout=120)[1]
    assert "going on without it" in said
    assert process.returncode in (0, 1, 2), "2 where it died between two trials"
    assert repair(tmp_path, capsys).code == 0
    entry = report_of(tmp_path).repair[0]
    assert [trial.because for trial in entry.trials if trial.verdict == "Inconclusive"] == []


def started(folder: Path, **changes: Any) -> subprocess.Popen[str]:
    file = audit(folder, **changes)
    words = [sys.executable, "-m", "assay_runner", "repair", "-f", file, "--out", str(folder / "out")]
    return subprocess.Popen(
        words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, start_new_session=True
    )  # fmt: skip


def trials(folder: Path) -> set[str]:
    """Without audits of what was found."""
    return {path.name for path in (folder / "out" / "cache" / "trials").glob("*.json") if "-" not in path.name}


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_stopped_at_any_moment_it_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], number: signal.Signals
) -> None:
    """The trial at hand is lost, and no other."""
    staged(tmp_path)
    with started(tmp_path) as process:
        until = time.monotonic() + 120
        while len(trials(tmp_path)) < 2 and time.monotonic() < until:
            time.sleep(0.01)
        os.killpg(process.pid, number)
        said = process.communicate(timeout=60)[1]
    before = trials(tmp_path)
    assert len(before) >= 2
    if number == signal.SIGTERM:
        assert process.returncode == 143
        best = tmp_path / "out" / "repair" / "fp16-precision"
        assert f"not yet judged on unseen samples, lies in {best}; the same command goes on from here" in said
    assert not (tmp_path / "out" / "recommended").exists()
    ended = repair(tmp_path, capsys)
    assert ended.code == 0, ended.err
    [entry] = report_of(tmp_path).repair
    assert sum(trial.known for trial in entry.trials) >= len(before)
    assert before <= trials(tmp_path)


def test_what_an_earlier_run_left_is_not_told_as_the_best_so_far(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    staged(tmp_path)
    assert repair(tmp_path, capsys).code == 0
    with started(tmp_path, **BEYOND_FP32) as process:
        assert process.stderr is not None
        process.stderr.readline()
        os.killpg(process.pid, signal.SIGTERM)
        said = process.communicate(timeout=60)[1]
    assert "stopped: the same command goes on from here" in said
