"""Audits on disk, and the command run on them in this process."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from assay_api.model import parse
from assay_api.report import Report
from assay_runner.backends.sessions import OrtSession
from assay_runner.cli import run_command
from assay_runner.tensors import Array, Arrays
from tests.described import undescribed
from tests.runner.io.made import linear, rows, shard

SAMPLES = 24
INT8 = {"name": "int8", "backend": "onnxruntime", "precision": "int8", "calibration": {"uri": "file://./calib/"}}
FP32 = {"name": "fp32", "backend": "onnxruntime", "precision": "fp32"}
TENSORRT = {"name": "trt", "backend": "tensorrt", "precision": "fp16", "typing": "weak"}


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def complaints(self) -> list[str]:
        return [line for line in self.err.splitlines() if line.startswith("assay: ")]


def assay(capsys: pytest.CaptureFixture[str], *words: str) -> Ended:
    capsys.readouterr()
    try:
        code = run_command(words)
    except SystemExit as ended:
        code = int(ended.code or 0)
    out, err = capsys.readouterr()
    return Ended(code, out, err)


def before_every_run(monkeypatch: pytest.MonkeyPatch, do: Callable[[Arrays], None]) -> None:
    """It is done with the inputs of each run of ONNX Runtime, before it: one at a time, as runs lie side by side."""
    run_it, alone = OrtSession.run, threading.Lock()

    def patched(session: OrtSession, inputs: Arrays) -> dict[str, Array]:
        with alone:
            do(inputs)
        return run_it(session, inputs)

    monkeypatch.setattr(OrtSession, "run", patched)


def good(folder: Path) -> None:
    """A model, a dataset with labels it gets right, a calibration set."""
    linear(folder / "model.onnx")
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(folder / "model.onnx"), options, providers=["CPUExecutionProvider"])
    for number in range(2):
        x = rows(SAMPLES // 2, seed=number)
        label = np.argmax(session.run(None, {"x": x})[0], axis=1).astype(np.int64)
        shard(folder / "data" / f"part-{number}.npz", x=x, label=label)
    shard(folder / "calib" / "part-0.npz", x=rows(8, seed=7))


def spec(**changes: Any) -> dict[str, Any]:
    """A good spec with fields replaced; None takes one away."""
    base: dict[str, Any] = {
        "model": {"uri": "file://./model.onnx"},
        "dataset": {"uri": "file://./data/", "labels": "label", "batch": 8},
        "candidates": [{"name": "fp32", "backend": "onnxruntime", "precision": "fp32"}],
        "checks": [{"finite": {}}, {"outputDrift": {"cosine": 0.99}}],
        "artifacts": {"uri": "file:///nowhere/"},
    }
    merged = {**base, **changes}
    return {key: value for key, value in merged.items() if value is not None}


def document(spec: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "apiVersion": "assay.dev/v1alpha1", "kind": "AccuracyAudit", "metadata": {"name": "an-audit"},
        "spec": dict(spec), **more,
    }  # fmt: skip


def changed(**changes: Any) -> str:
    """What a user writes down of such a spec."""
    return yaml.safe_dump(document(spec(**changes)))


def write(folder: Path, content: str | Mapping[str, Any]) -> str:
    path = folder / "audit.yaml"
    path.write_text(content if isinstance(content, str) else yaml.safe_dump(dict(content), sort_keys=False))
    return str(path)


def run(folder: Path, capsys: pytest.CaptureFixture[str], *words: str, **changes: Any) -> Ended:
    file = write(folder, document(spec(**changes)))
    return assay(capsys, "run", "-f", file, "--out", str(folder / "out"), *words)


def report_of(folder: Path) -> Report:
    """The report that was written; the schema describes every field of it."""
    written = json.loads((folder / "out" / "report.json").read_bytes())
    assert list(undescribed(written)) == []
    return parse(Report, written)
