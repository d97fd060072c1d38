"""Trained for 8 bits, quantised after training, weights alone: whole audits say which is the more accurate, and why."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from assay_api.model import parse
from assay_api.report import Report
from assay_runner.tasks.recommendation import recommend
from tests.cli.audits import assay, write
from tests.runner.remedies.calibrated import DIGITS, audit, int8, report_of

QAT = {"name": "qat", "backend": "onnxruntime", "precision": "int8"}


def summary(folder: Path, capsys: pytest.CaptureFixture[str], own: Path, calibration: str) -> Report:
    """An audit of the digits CNN with a calibrated candidate and one with a model of its own."""
    spec = audit(
        [int8("ptq", method="minmax", uri=f"file://{DIGITS}/{calibration}/"), {**QAT, "model": {"uri": f"file://{own}"}}],
        {"calibration": {}, "weightOnly": {}}, model={"uri": f"file://{DIGITS}/digits-cnn.onnx"},
        dataset={"uri": f"file://{DIGITS}/data/", "labels": "label", "batch": 64},
    )  # fmt: skip
    ended = assay(capsys, "run", "-f", write(folder, spec), "--out", str(folder / "out"))
    assert ended.code in (0, 1), ended.err
    return parse(Report, json.loads((folder / "out" / "report.json").read_bytes()))


def untrained(path: Path) -> Path:
    """The trained model with its scales of activations a hundredth of what they were: trained badly."""
    proto = onnx.load(str(DIGITS / "digits-cnn-qat.onnx"))
    scales = {n.input[1] for n in proto.graph.node if n.op_type == "QuantizeLinear"}
    for tensor in proto.graph.initializer:
        if tensor.name in scales:
            wrong = (numpy_helper.to_array(tensor) / 100).astype(np.float32)
            tensor.CopyFrom(numpy_helper.from_array(wrong, tensor.name))
    onnx.save(proto, str(path))
    return path


def test_trained_for_it_beats_a_poor_calibration(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = summary(tmp_path, capsys, DIGITS / "digits-cnn-qat.onnx", "calib-poor")
    assert report.spec is not None
    assert report.recommendation is not None
    assert report.recommendation.candidate == "qat"
    asked = [each for each in report.candidates if each.repaired is None]
    told = recommend(tuple(asked), report.spec.candidates).message
    assert "in int8, qat (own Q/DQ) is more accurate than ptq (PTQ): top1 98.87 % against 10.66 %" in told
    # Its repairs pass, too, and are compared by what each keeps of golden's on its own samples.
    every = (*asked, *report_of(tmp_path).candidates)
    told = recommend(every, report.spec.candidates).message
    assert "ptq-calibration (PTQ, repaired, the best of 2)" in told
    assert "ptq-weightonly (weights alone, repaired)" in told
    assert "top1 kept of golden's" in told


def test_a_good_calibration_beats_what_was_trained_badly(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told = summary(tmp_path, capsys, untrained(tmp_path / "bad.onnx"), "calib").recommendation
    assert told is not None
    assert told.candidate == "ptq"
    assert "in int8, ptq (PTQ) is more accurate than qat (own Q/DQ): top1 98." in told.message
