"""Trials are known again by all that they depend on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

from assay_api.remedies import Budget
from assay_runner.remedies.spending import Spending
from tests.models import random
from tests.runner.io.made import shard
from tests.runner.remedies.repairs import INT8, repaired, squares, staged


def test_golden_outputs_that_were_stored_anew_are_judged_by_anew(tmp_path: Path) -> None:
    x = random(16, 16, seed=1) * np.float32(400)
    staged(tmp_path, squares(), {"x": x})
    session = onnxruntime.InferenceSession(str(tmp_path / "model.onnx"), providers=["CPUExecutionProvider"])
    golden = {"y": session.run(None, {"x": x})[0]}
    asked: dict[str, Any] = {"golden": {"uri": "file://./golden/"}, "dataset": {"uri": "file://./data/", "batch": 4}}
    shard(tmp_path / "golden" / "part-0.npz", False, **golden)
    first = repaired(tmp_path, **asked)
    assert (first.remedy.outcome, [trial.known for trial in first.trials].count(True)) == ("Cured", 0)
    again = repaired(tmp_path, **asked)
    assert [trial.known for trial in again.trials if trial.split == "search"].count(False) == 0
    (tmp_path / "golden" / "part-0.npz").unlink()
    shard(tmp_path / "golden" / "part-0.npz", False, y=golden["y"] + np.float32(3))
    other = repaired(tmp_path, **asked)
    assert [trial.known for trial in other.trials].count(True) == 0
    assert other.remedy.outcome == "NotCured", "no build gives what is stored now"


def test_what_several_remedies_ask_takes_its_time_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every remedy of 8 bits asks first what FP32 comes to."""
    spent: list[Spending] = []

    def counted(budget: Budget) -> Spending:
        spent.append(Spending(budget))
        return spent[-1]

    monkeypatch.setattr("assay_runner.tasks.repair.Spending", counted)
    x = {"x": random(16, 16, seed=1)}
    staged(tmp_path, squares(), x, x)
    found = repaired(tmp_path, candidates=[INT8], checks=[{"outputDrift": {"snr": 60}}], remedies={"auto": {}})
    asked = [trial.known for trial in found.entry.trials if trial.words == "every node in FP32"]
    assert asked == [False, True, True], "calibration, precision, weights alone"
    assert spent[0].before == 0
    again = repaired(tmp_path, candidates=[INT8], checks=[{"outputDrift": {"snr": 60}}], remedies={"auto": {}})
    known = {trial.words: trial.seconds for trial in again.entry.trials if trial.known}
    assert 0 < spent[1].before <= sum(known.values()) * 1.01
