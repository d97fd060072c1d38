"""Advice, taken: who does what a sentence says is not told the same again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from assay_api.report import Finding, Verdict
from assay_runner.checks import CHECKS
from tests.models import Samples, constant, model, node, random, value
from tests.runner.numerics.candidates import candidate, measured

CHECKED = (CHECKS["finite"](), CHECKS["fp16Range"]())


def judged(proto: onnx.ModelProto, folder: Path, *held: str, **more: Any) -> tuple[Finding, ...]:
    layers = [{"nodes": name, "precision": "fp32"} for name in held]
    asked = candidate("fp16", backend="tensorrt", **({"layers": layers} if layers else {}), **more)
    return measured(proto, asked, Samples({"x": random(64, 16)}), folder, *CHECKED).findings


def overflowing() -> onnx.ModelProto:
    """Values beyond FP16 that two further nodes read before they are small again."""
    return model(
        [
            node("MatMul", "x w", "h"),
            node("Mul", "h big", "c"),
            node("Relu", "c", "r"),
            node("Mul", "r small", "s"),
            node("MatMul", "s w", "y"),
        ],
        [value("x", "N", 16)],
        [value("y", "N", 16)],
        [
            constant("w", random(16, 16, scale=0.3)),
            constant("big", np.float32(4e4)),
            constant("small", np.float32(1e-4)),
        ],
    )


def test_a_node_that_overflows_is_kept_wider_together_with_what_reads_it(tmp_path: Path) -> None:
    for found in judged(overflowing(), tmp_path / "given"):
        assert (found.verdict, found.node) == (Verdict.FAILED, "c.node")
        assert "keep this node, and those that read it until the values fit again, in" in found.message
    # The node alone is not enough: what reads it rounds its input.
    alone = judged(overflowing(), tmp_path / "alone", "c.node")
    assert {f.check: f.node for f in alone if f.check == "finite"} == {"finite": "r.node"}
    assert {f.verdict for f in judged(overflowing(), tmp_path / "all", "c.node", "r.node", "s.node")} == {
        Verdict.PASSED
    }


@pytest.mark.parametrize(
    ("mask", "verdict"), [(-1e9, Verdict.FAILED), (-65504, Verdict.FAILED), (-1e4, Verdict.PASSED)]
)
def test_the_value_that_a_mask_is_told_to_have_fits_beside_scores(
    mask: float, verdict: Verdict, tmp_path: Path
) -> None:
    proto = model(
        [node("MatMul", "x w", "h"), node("Add", "h m", "a"), node("Softmax", "a", "y", axis=-1)],
        [value("x", "N", 16)],
        [value("y", "N", 16)],
        [
            constant("w", np.eye(16, dtype=np.float32) * 20),
            constant("m", np.where(np.arange(16) < 8, 0, mask).astype(np.float32)),
        ],
    )
    findings = judged(proto, tmp_path)
    assert {found.verdict for found in findings} == {verdict}
    told = any("if it is a mask, use -10000 instead" in found.message for found in findings)
    assert told == (mask < -65504)
