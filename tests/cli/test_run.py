"""`assay run`, end to end on small models: verdicts, exit codes and reports."""

from __future__ import annotations

import hashlib
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import pytest
from onnx import helper

from assay_runner.cli.leftovers import remove_reports
from tests.cli.audits import FP32, INT8, SAMPLES, TENSORRT, assay, document, good, report_of, run, spec, write
from tests.runner.io.made import info, linear, rows, save, shard


def test_a_good_audit_passes_and_leaves_its_reports(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good(tmp_path)
    ended = run(tmp_path, capsys)
    assert (ended.code, ended.complaints) == (0, [])
    assert ended.out.splitlines()[-1] == str(tmp_path / "out" / "report.html")
    assert "Passed" in ended.out
    report = report_of(tmp_path)
    assert (report.audit, report.verdict, report.task) == ("an-audit", "Passed", "summary")
    assert [c.name for c in report.candidates] == ["fp32"]
    assert report.candidates[0].samples == SAMPLES
    assert report.dataset.samples == SAMPLES
    assert report.recommendation is not None
    assert report.recommendation.candidate == "fp32"
    assert {"assay", "onnxruntime", "cpu", "os"} <= set(report.environment)
    assert report.reproduce.startswith("assay run -f ")
    assert (tmp_path / "out" / "report.html").read_text().startswith("<!")
    ElementTree.parse(tmp_path / "out" / "junit.xml")
    assert (tmp_path / "out" / "fp32" / "report.json").exists()


def test_progress_goes_to_standard_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good(tmp_path)
    ended = run(tmp_path, capsys)
    assert "golden: " in ended.err
    assert "golden: " not in ended.out


def test_a_second_run_takes_the_golden_outputs_of_the_first(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good(tmp_path)
    first = run(tmp_path, capsys, candidates=[INT8])
    second = run(tmp_path, capsys, candidates=[INT8])
    assert "golden outputs taken from the cache" not in first.err
    assert "golden outputs taken from the cache" in second.err
    assert "build taken from the cache" in second.err
    assert first.code == second.code
    shard(tmp_path / "data" / "part-1.npz", x=rows(3), label=np.zeros(3, np.int64))
    assert "golden outputs taken from the cache" not in run(tmp_path, capsys, candidates=[INT8]).err


def test_a_breach_ends_with_1_and_is_reported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good(tmp_path)
    ended = run(tmp_path, capsys, candidates=[FP32, INT8], checks=[{"outputDrift": {"maxAbs": 1e-9}}])
    assert ended.code == 1
    report = report_of(tmp_path)
    assert [(c.name, c.verdict) for c in report.candidates] == [("fp32", "Passed"), ("int8", "Failed")]
    assert report.verdict == "Failed"
    assert report.recommendation is not None
    assert report.recommendation.candidate == "fp32"


@pytest.mark.parametrize("on_breach", ["Fail", "Report"])
def test_the_exit_code_tells_the_verdict_whatever_becomes_of_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], on_breach: str
) -> None:
    good(tmp_path)
    ended = run(tmp_path, capsys, candidates=[INT8], checks=[{"outputDrift": {"maxAbs": 1e-9}}], onBreach=on_breach)
    assert ended.code == 1


def test_stored_golden_outputs_are_used(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good(tmp_path)
    shard(tmp_path / "golden.npz", y=rows(SAMPLES, 4, seed=99))
    ended = run(tmp_path, capsys, golden={"uri": "file://./golden.npz"})
    assert ended.code == 1
    assert report_of(tmp_path).golden.uri == "file://./golden.npz"


def test_no_gpu_is_inconclusive_and_69(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good(tmp_path)
    ended = run(tmp_path, capsys, candidates=[FP32, TENSORRT])
    assert ended.code == 69
    assert len(ended.complaints) == 1
    assert ended.complaints[0].startswith("assay: candidate trt: ")
    report = report_of(tmp_path)
    assert [(c.name, c.verdict) for c in report.candidates] == [("fp32", "Passed"), ("trt", "Inconclusive")]
    assert report.candidates[1].error
    assert report.verdict == "Inconclusive"


def test_the_cpu_stands_in_only_when_asked_and_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good(tmp_path)
    target = {"gpuProducts": ["NVIDIA-H200", "NVIDIA-L4"]}
    ended = run(tmp_path, capsys, "--backend", "onnxruntime", candidates=[TENSORRT], target=target)
    assert ended.code == 0
    report = report_of(tmp_path)
    assert [(c.name, c.emulated) for c in report.candidates] == [("trt", True)]
    assert report.emulated
    assert "mulated" in ended.out
    assert "mulated" in (tmp_path / "out" / "report.html").read_text()
    assert "--backend onnxruntime" in report.reproduce


OWN = {"backend": "onnxruntime", "precision": "fp32", "model": {"uri": "file://./own.onnx"}}
UNBUILT = {
    "a plan": {"backend": "tensorrt", "engine": {"uri": "file://./some.plan"}},
    "a model of other outputs": OWN,
    "no calibration inputs": {**INT8, "calibration": {"uri": "file://./absent/"}},
}


def test_a_cause_that_some_share_is_told_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good(tmp_path)
    absent = UNBUILT["no calibration inputs"]
    asked = [{**absent, "name": "a"}, FP32, {**absent, "name": "b"}, {**UNBUILT["a plan"], "name": "served"}]
    ended = run(tmp_path, capsys, "--backend", "onnxruntime", "--strict", candidates=asked)
    assert [line.split(": ")[1] for line in ended.complaints] == ["candidates a, b", "candidate served"]


@pytest.mark.parametrize("case", UNBUILT)
def test_a_candidate_is_named_once_where_it_cannot_be_built(
    case: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good(tmp_path)
    save(
        tmp_path / "own.onnx",
        [helper.make_node("Identity", ["x"], ["z"])],
        [info("x", ["b", 3])],
        [info("z", ["b", 3])],
    )
    asked = {**UNBUILT[case], "name": "zebra"}
    ended = run(tmp_path, capsys, "--backend", "onnxruntime", "--strict", candidates=[asked])
    [complaint] = ended.complaints
    assert complaint.startswith("assay: candidate zebra: ")
    assert complaint.count("zebra") == 1
    error = report_of(tmp_path).candidates[0].error
    assert error
    assert "zebra" not in error


def test_a_candidate_with_a_wrong_model_does_not_stop_the_others(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good(tmp_path)
    (tmp_path / "broken.onnx").write_bytes(b"not a model")
    own = {"name": "own", "backend": "onnxruntime", "precision": "fp32", "model": {"uri": "file://./broken.onnx"}}
    ended = run(tmp_path, capsys, candidates=[own, FP32])
    assert ended.code == 64
    assert len(ended.complaints) == 1
    assert "candidate own: the model file://./broken.onnx" in ended.complaints[0]
    assert [(c.name, c.verdict) for c in report_of(tmp_path).candidates] == [
        ("own", "Inconclusive"),
        ("fp32", "Passed"),
    ]
    assert (tmp_path / "out" / "own" / "report.html").exists()


def test_every_run_starts_afresh(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The spec is the same, the model is not: yesterday's report is no answer."""
    good(tmp_path)
    assert run(tmp_path, capsys).code == 0
    (tmp_path / "model.onnx").write_bytes(b"broken since")
    assert run(tmp_path, capsys).code == 64


def test_the_default_folder_is_named_by_the_audit(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    good(tmp_path)
    monkeypatch.chdir(tmp_path)
    ended = assay(capsys, "run", "-f", write(tmp_path, document(spec())))
    assert ended.out.splitlines()[-1] == str(tmp_path / "assay-out" / "an-audit" / "report.html")


@pytest.mark.parametrize("precision", ["fp32", "fp64"])
def test_weights_that_are_listed_as_inputs_are_no_inputs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], precision: str
) -> None:
    """As exporters wrote them before ONNX's format version 4."""
    good(tmp_path)
    linear(tmp_path / "model.onnx", ir_version=3, opsets=[helper.make_opsetid("", 9)])
    names = ("fp16", "bf16")
    candidates = [{"name": name, "backend": "onnxruntime", "precision": name} for name in names]
    assert run(tmp_path, capsys, golden={"precision": precision}, candidates=candidates).code == 0


def test_the_report_is_what_its_digest_says(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from assay_api.audit import Storage
    from assay_api.plan import cache_folder, plan
    from assay_runner.cli.documents import read_audit
    from assay_runner.stores import open_store
    from assay_runner.tasks.publish import published, task_result

    good(tmp_path)
    run(tmp_path, capsys)
    audit = read_audit(str(tmp_path / "audit.yaml"))
    folder = f"file://{tmp_path / 'out'}"
    tasks = plan(audit.spec, "an-audit", output=folder, cache=cache_folder(folder))
    reporting = [task for task in tasks if task.kind != "golden"]
    assert [task.key for task in reporting] == ["fp32", "summary"]
    for task in reporting:
        found = published(task, open_store(Storage()))
        assert found is not None
        result = task_result(task, *found)
        assert result.report is not None
        content = Path(result.report.uri.removeprefix("file://")).read_bytes()
        assert hashlib.sha256(content).hexdigest() == result.report.sha256
        assert result.verdict == "Passed"


def test_no_verdict_of_an_earlier_run_survives(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good(tmp_path)
    out = tmp_path / "out"
    assert run(tmp_path, capsys, candidates=[FP32, {**FP32, "name": "other"}]).code == 0
    (out / "other" / "notes.txt").write_text("mine")
    (out / "mine").mkdir()
    (out / "mine" / "report.html").write_text("<title>mine</title>")
    golden = sorted((out / "cache").glob("**/*"))
    (tmp_path / "model.onnx").write_bytes(b"broken since")
    assert run(tmp_path, capsys).code == 64
    assert sorted(p.name for p in out.iterdir()) == ["cache", "ctrf.json", "golden", "junit.xml", "mine", "other"]
    assert sorted(p.name for p in (out / "other").iterdir()) == ["notes.txt"]
    assert (out / "mine" / "report.html").exists()
    assert sorted((out / "cache").glob("**/*")) == golden


def test_an_audit_that_cannot_be_read_leaves_no_earlier_verdict(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good(tmp_path)
    assert run(tmp_path, capsys).code == 0
    ended = assay(capsys, "run", "-f", write(tmp_path, "a: ["), "--out", str(tmp_path / "out"))
    assert ended.code == 64
    assert not list((tmp_path / "out").glob("**/report.*"))


def test_files_of_others_that_bear_our_names_stay(tmp_path: Path) -> None:
    foreign = {
        "report.json": '{"version": 1}',
        "junit.xml": "<testsuites/>",
        "ctrf.json": "{}",
        "report.html": "<!doctype html>",
    }
    for name, content in foreign.items():
        (tmp_path / name).write_text(content)
    remove_reports(tmp_path)
    assert {p.name: p.read_text() for p in tmp_path.iterdir()} == foreign
