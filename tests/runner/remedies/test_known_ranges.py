"""Ranges are found once for all designs of a candidate; with nothing left in 8 bits a design is FP32."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from assay_api.report import Verdict
from tests.cli.audits import assay, write
from tests.models import constant, model, node, random, value
from tests.runner.remedies.calibrated import FEATURES, audit, entry, given, int8, repair_of, report_of, spikes


def test_a_precision_search_reads_the_calibration_set_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    weight = random(FEATURES, 4, seed=3, scale=1e-3)
    weight[:2, :2] = np.eye(2)
    proto = model(
        [node("MatMul", "x w1", "h"), node("Relu", "h", "r"), node("MatMul", "r w2", "logits")],
        [value("x", "N", FEATURES)], [value("logits", "N", 2)],
        [constant("w1", weight), constant("w2", np.eye(4, 2, dtype=np.float32))],
    )  # fmt: skip
    given(tmp_path, proto, spikes(1024, seed=1), spikes(128, seed=2))
    spec = audit([int8(method="entropy")], {"precision": {}})
    ended = assay(capsys, "run", "-f", write(tmp_path, spec), "--out", str(tmp_path / "out"))
    found = entry(report_of(tmp_path), "precision")
    assert found.outcome == "Cured", found.message
    assert found.wide == {"h.node": "fp16"}
    assert len(repair_of(report_of(tmp_path)).trials) > 3
    assert sum("finding the ranges of 8-bit tensors" in line for line in ended.err.splitlines()) == 1


def test_where_all_products_must_run_wider_nothing_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The only product that would run in 8 bits, held: FP32, not a model in which there is nothing to quantise."""
    proto = model(
        [node("MatMul", "x w", "logits")], [value("x", "N", FEATURES)], [value("logits", "N", 2)],
        [constant("w", np.eye(FEATURES, 2, dtype=np.float32))],
    )  # fmt: skip
    given(tmp_path, proto, spikes(1024, seed=1), spikes(128, seed=2))
    spec = audit([int8(method="entropy")], {"precision": {}})
    assay(capsys, "run", "-f", write(tmp_path, spec), "--out", str(tmp_path / "out"))
    report = report_of(tmp_path)
    assert entry(report, "precision").outcome == "Cured", entry(report, "precision").message
    assert not any("is held to another precision" in trial.because for trial in repair_of(report).trials)
    assert report.candidates[0].verdict is Verdict.PASSED
