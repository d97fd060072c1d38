"""Audits with a repair, run whole: models that one calibration breaks and another does not."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest

from assay_api.model import parse
from assay_api.repair import RemedyEntry, RepairEntry
from assay_api.report import Report
from tests.cli.audits import assay, document, write
from tests.models import constant, model, node, random, value
from tests.runner.io.made import shard

ROOT = Path(__file__).parents[3]
DIGITS = ROOT / "examples" / "digits"
CHECKS = [{"finite": {}}, {"labelAccuracy": {"keep": 0.95}}]
FEATURES = 512


def spikes(samples: int, seed: int) -> Any:
    """Noise, and two large values of which the larger decides: rare enough that entropy cuts both to one."""
    rng = np.random.default_rng(seed)
    x = rng.normal(0, 0.3, (samples, FEATURES)).astype(np.float32)
    x[:, :2] = rng.uniform(10, 50, (samples, 2))
    return x


def larger_spike() -> onnx.ModelProto:
    """x (N, 512) to logits (N, 2): the two spikes, and next to nothing of the noise."""
    weight = random(FEATURES, 2, seed=3, scale=1e-3)
    weight[:2] = np.eye(2)
    return model([node("MatMul", "x w", "logits")], [value("x", "N", FEATURES)], [value("logits", "N", 2)],
                 [constant("w", weight)])  # fmt: skip


def classes(samples: int, seed: int, rare: bool = True) -> Any:
    """Values around 1, 4 and, with `rare` in one sample of three, 40: three classes."""
    rng = np.random.default_rng(seed)
    x = rng.normal(0, 0.2, (samples, 16)).astype(np.float32)
    kind = rng.integers(0, 3 if rare else 2, samples)
    x[:, 0] = np.array([1, 4, 40])[kind] + rng.uniform(-0.2, 0.2, samples)
    return x


def three_classes() -> onnx.ModelProto:
    """x (N, 16) to logits (N, 3): where the first feature lies."""
    weight = np.zeros((16, 3), np.float32)
    weight[0] = [0, 1, 2]
    bias = np.array([2.5, 0, -15], np.float32)
    nodes = [node("MatMul", "x w", "h"), node("Add", "h b", "logits")]
    return model(nodes, [value("x", "N", 16)], [value("logits", "N", 3)], [constant("w", weight), constant("b", bias)])


def labels(path: Path, x: Any) -> Any:
    """What the model itself says of the samples."""
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    fixed = session.get_inputs()[0].shape[0]
    size = fixed if isinstance(fixed, int) else len(x)
    logits = [session.run(None, {"x": x[first : first + size]})[0] for first in range(0, len(x), size)]
    return np.argmax(np.concatenate(logits), axis=1).astype(np.int64)


def given(folder: Path, proto: onnx.ModelProto, data: Any, calibration: Any) -> None:
    """Model, labelled dataset and calibration set in a folder."""
    onnx.save(proto, str(folder / "model.onnx"))
    half = len(data) // 2
    for number, x in enumerate((data[:half], data[half:])):
        shard(folder / "data" / f"part-{number}.npz", x=x, label=labels(folder / "model.onnx", x))
    shard(folder / "calib" / "part-0.npz", x=calibration)


def int8(name: str = "int8", **calibration: Any) -> dict[str, Any]:
    return {
        "name": name, "backend": "onnxruntime", "precision": "int8",
        "calibration": {"uri": "file://./calib/", **calibration},
    }  # fmt: skip


def audit(candidates: list[dict[str, Any]], remedies: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    spec = {
        "model": {"uri": "file://./model.onnx"},
        "dataset": {"uri": "file://./data/", "labels": "label", "batch": 64},
        "candidates": candidates, "checks": CHECKS, "remedies": dict(remedies),
        "artifacts": {"uri": "file:///nowhere/"},
    }  # fmt: skip
    return document({**spec, **more})


def repaired(folder: Path, capsys: pytest.CaptureFixture[str], spec: Mapping[str, Any]) -> Report:
    """Run the audit; the report of its repair."""
    ended = assay(capsys, "run", "-f", write(folder, spec), "--out", str(folder / "out"))
    assert ended.code in (0, 1, 2), ended.err
    return report_of(folder)


def report_of(folder: Path) -> Report:
    return parse(Report, json.loads((folder / "out" / "repair" / "report.json").read_bytes()))


def repair_of(report: Report) -> RepairEntry:
    [repair] = report.repair
    return repair


def entry(report: Report, remedy: str) -> RemedyEntry:
    [found] = [each for each in repair_of(report).remedies if each.remedy == remedy]
    return found
