"""A repair keeps to the formats that it is asked for, and says of no node that it must run wider which need not."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.models import constant, model, node, random, value
from tests.runner.remedies.repairs import FP16, INT8, Repaired, repaired, squares, staged

BF16: dict[str, Any] = {**FP16, "name": "bf16", "precision": "bf16"}


def case(folder: Path, candidate: dict[str, Any], snr: float, to: Sequence[str]) -> Repaired:
    x = {"x": random(16, 16, seed=1) * np.float32(400)}
    staged(folder, squares(), x, x)
    checks = [{"finite": {}}, {"outputDrift": {"snr": snr}}]
    return repaired(folder, candidates=[candidate], checks=checks, remedies={"precision": {"to": list(to)}})


@pytest.mark.parametrize(
    ("candidate", "snr", "to", "outcome", "kinds"),
    [
        (FP16, 30, ["fp32"], "Cured", {"fp32"}),
        (FP16, 30, ["bf16"], "Cured", {"bf16"}),
        (FP16, 55, ["bf16", "fp32"], "Cured", {"fp32"}),
        (FP16, 55, ["bf16"], "NotCured", set()),
        (FP16, 30, ["fp16"], "DoesNotApply", set()),
        (BF16, 55, ["bf16", "fp16"], "DoesNotApply", set()),
        (INT8, 60, ["bf16"], "DoesNotApply", set()),
        (INT8, 60, ["fp16"], "NotCured", set()),
        (INT8, 60, ["fp16", "fp32"], "Cured", {"fp32"}),
    ],
)
def test_nodes_are_kept_in_formats_that_are_asked_for(
    tmp_path: Path, candidate: dict[str, Any], snr: float, to: list[str], outcome: str, kinds: set[str]
) -> None:
    found = case(tmp_path, candidate, snr, to)
    assert (found.remedy.outcome, set(found.remedy.wide.values())) == (outcome, kinds), found.remedy.message


def test_what_runs_wider_to_spare_casts_is_told_apart_from_what_must(tmp_path: Path) -> None:
    """Two nodes, one that need not, two nodes: one island takes fewer casts than two."""
    nodes = [
        node("Add", "x big", "a1"), node("Sub", "a1 big", "a2"), node("Tanh", "a2", "gap"),
        node("Add", "gap big", "c1"), node("Sub", "c1 big", "c2"), node("MatMul", "c2 w", "y0"),
        node("Relu", "y0", "y1"), node("Add", "y1 one", "y2"), node("MatMul", "y2 w", "y3"),
        node("Tanh", "y3", "y4"), node("Add", "y4 one", "y5"), node("Relu", "y5", "y"),
    ]  # fmt: skip
    weights = [constant("big", np.float32(4e3)), constant("one", np.float32(1))]
    weights.append(constant("w", random(16, 16, seed=3) / np.float32(4)))
    proto = model(nodes, [value("x", "N", 16)], [value("y", "N", 16)], weights)
    staged(tmp_path, proto, {"x": random(64, 16, seed=1) * np.float32(10)})
    found = repaired(tmp_path, checks=[{"finite": {}}, {"outputDrift": {"snr": 40}}]).remedy
    assert (found.outcome, len(found.wide), found.minimal) == ("Cured", 5, "NotProved")
    assert "4 of 12 nodes must run in FP32: a1.node, a2.node, c1.node, c2.node; gap.node too" in found.message


def test_what_tells_nothing_in_fp32_ends_no_trial_before_what_does_is_asked(tmp_path: Path) -> None:
    """Of few samples labels tell nothing in FP32, yet fail in FP16."""
    x = random(16, 16, seed=1) * np.float32(400)
    label = np.argmax(np.square(x) * np.float32(1e-5) @ (random(16, 16, seed=3) / np.float32(4)), axis=1)
    staged(tmp_path, squares(), {"x": x, "label": label.astype(np.int64)})
    found = repaired(
        tmp_path,
        dataset={"uri": "file://./data/", "labels": "label", "batch": 4},
        checks=[{"finite": {}}, {"outputDrift": {"snr": 30}}, {"labelAccuracy": {"keep": 0.99}}],
    )
    searched = [trial for trial in found.trials if trial.split == "search"]
    assert searched[0].verdict == "Inconclusive", "labels: too few samples"
    assert {trial.metric for trial in searched[1:]} <= {"snr", "nonFinite"}
    assert any(trial.verdict == "Passed" for trial in searched[1:])
    assert (found.folder / "out" / "repair" / "fp16-precision" / "model.onnx").exists()
    assert (found.remedy.outcome, len(found.remedy.wide)) == ("Inconclusive", 2)
