"""What a verdict rests on stands in its report: what ran, whether in TF32, and the digests of what went in."""

from __future__ import annotations

import hashlib
from pathlib import Path

import onnxruntime as ort
import pytest
from onnx import helper

from assay_api.report import EngineEntry, Provenance
from assay_runner.tasks.provenance import tf32_allowed
from tests.cli.audits import FP32, good, report_of, run
from tests.runner.io.made import linear

TF32 = {**FP32, "name": "tf32", "precision": "tf32"}
OWN = {**FP32, "name": "own", "model": {"uri": "file://./own.onnx"}}


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_verdict_carries_what_computed_it_and_from_what(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good(tmp_path)
    linear(tmp_path / "own.onnx", opsets=[helper.make_opsetid("", 18)])
    run(tmp_path, capsys, candidates=[FP32, TF32, OWN])
    report = report_of(tmp_path)
    model, own = digest(tmp_path / "model.onnx"), digest(tmp_path / "own.onnx")
    usual = {"runtime": "onnxruntime", "version": ort.__version__, "provider": "CPUExecutionProvider",
             "data": report.dataset.identity}  # fmt: skip
    golden = Provenance(**usual, precision="fp32", tf32="none", optimised=True, model=model)
    assert report.golden.provenance == golden
    assert [candidate.provenance for candidate in report.candidates] == [
        golden,
        golden.model_copy(update={"precision": "tf32", "tf32": "emulated", "optimised": False}),
        golden.model_copy(update={"model": own}),
    ]
    page = (tmp_path / "out" / "report.html").read_text()
    for told in ("CPUExecutionProvider", model, own, report.dataset.identity):
        assert told is not None
        assert told in page


def test_the_precision_of_golden_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good(tmp_path)
    run(tmp_path, capsys, golden={"precision": "fp64"})
    golden = report_of(tmp_path).golden
    assert golden.provenance is not None
    assert golden.provenance.precision == "fp64"
    assert {entry.against for entry in golden.floors or ()} == {"reordered", "unoptimised"}


@pytest.mark.parametrize(("flag", "told"), [(True, "on"), (False, "off"), (None, "unknown")])
def test_of_an_engine_the_builder_s_flag_is_told(flag: bool | None, told: str) -> None:
    assert tf32_allowed(EngineEntry(tf32=flag)) == told
