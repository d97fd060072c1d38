"""Trials are known again by all that they depend on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from tests.models import random
from tests.runner.io.made import shard
from tests.runner.remedies.repairs import repaired, squares, staged


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
