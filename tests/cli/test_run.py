"""`assay run`, end to end on small models: verdicts, exit codes, reports, and one sentence for every wrong input."""

from __future__ import annotations

import hashlib
import json
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper

from assay_api.model import parse
from assay_api.report import Report
from tests.cli.audits import SAMPLES, Ended, assay, document, good, spec, write
from tests.unit.runner_io.made import info, linear, rows, save, shard

INT8 = {"name": "int8", "backend": "onnxruntime", "precision": "int8", "calibration": {"uri": "file://./calib/"}}
FP32 = {"name": "fp32", "backend": "onnxruntime", "precision": "fp32"}
TENSORRT = {"name": "trt", "backend": "tensorrt", "precision": "fp16", "typing": "weak"}


def run(folder: Path, capsys: pytest.CaptureFixture[str], *words: str, **changes: Any) -> Ended:
    file = write(folder, document(spec(**changes)))
    return assay(capsys, "run", "-f", file, "--out", str(folder / "out"), *words)


def report_of(folder: Path) -> Report:
    return parse(Report, json.loads((folder / "out" / "report.json").read_bytes()))


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
    assert report.dataset["samples"] == SAMPLES
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
    assert report_of(tmp_path).golden["uri"] == "file://./golden.npz"


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


Change = Callable[[Path], dict[str, Any] | None]


def change(function: Callable[[Path], Any], **changes: Any) -> Change:
    def apply(folder: Path) -> dict[str, Any]:
        function(folder)
        return changes

    return apply


def nothing(folder: Path) -> None:
    pass


def replace_data(**arrays: Any) -> Callable[[Path], Any]:
    return lambda folder: shard(folder / "data" / "part-1.npz", **arrays)


def lose(name: str) -> Callable[[Path], None]:
    def remove(folder: Path) -> None:
        for path in sorted((folder / name).glob("**/*")) if (folder / name).is_dir() else [folder / name]:
            path.unlink()

    return remove


def lost_weights(folder: Path) -> None:
    linear(folder / "model.onnx", save_as_external_data=True, location="weights.bin", size_threshold=0)
    (folder / "weights.bin").unlink()


def cut(folder: Path) -> None:
    content = (folder / "model.onnx").read_bytes()
    (folder / "model.onnx").write_bytes(content[: len(content) - 20])


def node(op: str, opset: int, domain: str = "") -> Callable[[Path], Any]:
    opsets = [helper.make_opsetid("", opset), *([helper.make_opsetid(domain, 1)] if domain else [])]
    made = helper.make_node(op, ["x"], ["y"], domain=domain)
    return lambda folder: save(
        folder / "model.onnx", [made], [info("x", ["b", 3])], [info("y", ["b", 3])], opsets=opsets
    )


X, LABEL = rows(4), np.zeros(4, np.int64)
NAN = X.copy()
NAN[1, 1] = np.nan

BAD: list[tuple[str, Change, str]] = [
    ("model missing", change(lose("model.onnx")), "model.onnx does not exist"),
    ("model truncated", change(cut), "is not ONNX, or truncated"),
    ("not ONNX", change(lambda f: (f / "model.onnx").write_bytes(b"%PDF-1.7")), "is not ONNX"),
    ("wrong sha256", change(nothing, model={"uri": "file://./model.onnx", "sha256": "0" * 64}), "has SHA-256"),
    ("external data", change(lost_weights), "external data weights.bin"),
    ("opset", change(node("Relu", 99)), "is of opset 99"),
    ("operator", change(node("Frobnicate", 17)), "uses operator Frobnicate"),
    ("custom operator", change(node("Foo", 17, "com.acme")), "uses operator com.acme:Foo"),
    ("dataset missing", change(nothing, dataset={"uri": "file://./absent"}), "absent is missing or empty"),
    ("dataset empty", change(lose("data")), "is missing or empty"),
    ("no samples", change(nothing, dataset={"uri": "file://./zero.npz"}), "zero.npz is empty: its shards hold no"),
    ("corrupt", change(lambda f: (f / "data" / "part-0.npz").write_bytes(b"PK junk")), "part-0.npz is corrupt"),
    ("first axes", change(replace_data(x=rows(5), label=LABEL)), "disagree on the number of samples"),
    ("input name", change(replace_data(z=X, label=LABEL)), "no array for the model's input 'x'"),
    ("dtype", change(replace_data(x=X.astype("float16"), label=LABEL)), "store it by .astype('float32')"),
    ("shape", change(replace_data(x=rows(4, 5), label=LABEL)), "has shape (4, 5)"),
    ("NaN", change(replace_data(x=NAN, label=LABEL)), "holds NaN in sample 1 (sample 13 of the dataset)"),
    ("labels missing", change(replace_data(x=X)), "no array of labels 'label'"),
    ("labels negative", change(replace_data(x=X, label=LABEL - 1)), "is out of range"),
    (
        "labels out of range",
        change(replace_data(x=X, label=LABEL + 4), checks=[{"labelAccuracy": {"metric": "top1"}}]),
        "label 4 of sample 12 is no class of output 'y'",
    ),
    ("stored golden missing", change(nothing, golden={"uri": "file://./absent.npz"}), "stored golden outputs"),
    ("stored golden short", change(nothing, golden={"uri": "file://./short.npz"}), "hold 3 samples"),
    ("stored golden name", change(nothing, golden={"uri": "file://./calib/"}), "model's output 'y': it holds 'x'"),
    ("calibration empty", change(lose("calib"), candidates=[INT8]), "calibration set of candidate int8"),
    ("fp8 input", change(node("Identity", 17), candidates=[]), "needs at least 1"),
    ("out is a file", change(lambda f: (f / "out").write_text("")), "cannot write"),
]


@pytest.mark.parametrize(("apply", "sentence"), [(c, s) for _, c, s in BAD], ids=[n for n, _, _ in BAD])
def test_wrong_input_ends_in_one_sentence_and_64(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], apply: Change, sentence: str
) -> None:
    good(tmp_path)
    shard(tmp_path / "zero.npz", x=rows(0))
    shard(tmp_path / "short.npz", y=rows(3, 4))
    changes = apply(tmp_path) or {}
    ended = run(tmp_path, capsys, **changes)
    assert ended.code == 64, ended.err
    assert len(ended.complaints) == 1, ended.err
    assert sentence in ended.complaints[0]
    assert "Traceback" not in ended.err + ended.out
    if (tmp_path / "out" / "report.json").exists():
        assert report_of(tmp_path).verdict == "Inconclusive"


def test_a_model_of_another_element_type_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good(tmp_path)
    own = tmp_path / "own.onnx"
    made = helper.make_node("Identity", ["x"], ["y"])
    save(own, [made], [info("x", ["b", 3], TensorProto.DOUBLE)], [info("y", ["b", 3], TensorProto.DOUBLE)])
    candidate = {"name": "own", "backend": "onnxruntime", "precision": "fp32", "model": {"uri": "file://./own.onnx"}}
    ended = run(tmp_path, capsys, candidates=[candidate])
    assert ended.code == 64
    assert "takes other inputs (x: float64) than the audit's (x: float32)" in ended.complaints[0]


def test_a_full_disk_is_unavailable(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """/dev/full refuses every write as a full disk does, and the sentence names the place."""
    from assay_runner.errors import Unavailable
    from assay_runner.stores.files import disk_error

    try:
        with Path("/dev/full").open("wb", buffering=0) as full:
            full.write(b"x")
    except OSError as error:
        failure = disk_error(error, tmp_path / "model.onnx", 1 << 30)
    assert isinstance(failure, Unavailable)
    assert f"disk full in {tmp_path}" in str(failure)
    assert "model.onnx of 1.0 GiB" in str(failure)


def test_the_report_is_what_its_digest_says(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from assay_api.audit import Storage
    from assay_api.plan import cache_folder, plan
    from assay_runner.cli.documents import read_audit
    from assay_runner.publish import published, task_result
    from assay_runner.stores import open_store

    good(tmp_path)
    run(tmp_path, capsys)
    audit = read_audit(str(tmp_path / "audit.yaml"))
    folder = f"file://{tmp_path / 'out'}"
    for task in plan(audit.spec, "an-audit", output=folder, cache=cache_folder(folder)):
        if task.kind == "golden":
            continue
        found = published(task, open_store(Storage()))
        assert found is not None
        result = task_result(task, *found)
        assert result.report is not None
        content = Path(result.report.uri.removeprefix("file://")).read_bytes()
        assert hashlib.sha256(content).hexdigest() == result.report.sha256
        assert result.verdict == "Passed"
