"""A repair keeps to the formats that it is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from tests.models import constant, model, node, random, value
from tests.runner.remedies.repairs import FP16, INT8, Repaired, repaired, staged

BF16: dict[str, Any] = {**FP16, "name": "bf16", "precision": "bf16"}


def squares() -> onnx.ModelProto:
    """Squares that FP16 cannot hold, made small again, and a product."""
    nodes = [node("Mul", "x x", "square"), node("Mul", "square small", "h"), node("MatMul", "h w", "y")]
    weights = [constant("small", np.float32(1e-5)), constant("w", random(16, 16, seed=3) / np.float32(4))]
    return model(nodes, [value("x", "N", 16)], [value("y", "N", 16)], weights)


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
        (INT8, 60, ["bf16", "fp16"], "DoesNotApply", set()),
    ],
)
def test_nodes_are_kept_in_formats_that_are_asked_for(
    tmp_path: Path, candidate: dict[str, Any], snr: float, to: list[str], outcome: str, kinds: set[str]
) -> None:
    found = case(tmp_path, candidate, snr, to)
    assert (found.remedy.outcome, set(found.remedy.wide.values())) == (outcome, kinds), found.remedy.message
