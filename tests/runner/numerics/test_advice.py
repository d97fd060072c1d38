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


def saturating() -> onnx.ModelProto:
    """The inverse of a tangent that FP16 rounds to 1, where golden has numbers up to 9 alone."""
    nodes = [node("MatMul", "x w", "h"), node("Tanh", "h", "t"), node("Atanh", "t", "y")]
    return model(nodes, [value("x", "N", 16)], [value("y", "N", 16)], [constant("w", random(16, 16, scale=0.5))])


def sharp() -> onnx.ModelProto:
    """The angle between almost the same directions, whose cosine FP16 rounds to more than 1: no number."""
    nodes = [
        node("ReduceL2", "x", "n", axes=[1]),
        node("Div", "x n", "u"),
        node("Mul", "u u", "q"),
        node("ReduceSum", "q axis", "s"),
        node("Mul", "s less", "c"),
        node("Acos", "c", "y"),
    ]
    weights = [constant("axis", [1]), constant("less", np.float32(0.9999))]
    return model(nodes, [value("x", "N", 16)], [value("y", "N", 1)], weights)


@pytest.mark.parametrize(
    ("proto", "kept"), [(saturating(), ("y.node", "t.node")), (sharp(), tuple(f"{name}.node" for name in "nuqscy"))]
)
@pytest.mark.parametrize("alone", [True, False], ids=["finite alone", "beside layerDrift"])
def test_what_follows_from_rounding_before_a_node_is_not_cured_at_that_node(
    proto: onnx.ModelProto, kept: tuple[str, ...], alone: bool, tmp_path: Path
) -> None:
    checks = (CHECKS["finite"](), *(() if alone else (CHECKS["layerDrift"](),)))
    data = Samples({"x": random(64, 16)})

    def finite(folder: str, *held: str) -> Finding:
        layers = [{"nodes": name, "precision": "fp32"} for name in held]
        asked = candidate("fp16", backend="tensorrt", **({"layers": layers} if layers else {}))
        return measured(proto, asked, data, tmp_path / folder, *checks).findings[0]

    found = finite("given")
    assert (found.verdict, found.node) == (Verdict.FAILED, "y.node")
    assert "keep it and the nodes before it in a wider precision together" in found.message
    assert "bf16" not in found.message
    assert finite("node", "y.node").verdict is Verdict.FAILED
    assert finite("together", *kept).verdict is Verdict.PASSED


def test_control_flow_that_overflows_is_not_told_to_be_kept_wider(tmp_path: Path) -> None:
    then, orelse = (
        onnx.helper.make_graph([node("Mul", f"x {name}", f"{name}.y")], name, [], [value(f"{name}.y", "N", 16)])
        for name in ("large", "larger")
    )
    nodes = [
        node("ReduceSum", "x", "sum", keepdims=0),
        node("Greater", "sum zero", "which"),
        onnx.helper.make_node("If", ["which"], ["z"], "z.node", then_branch=then, else_branch=orelse),
        node("Mul", "z small", "y"),
    ]
    factors = {"large": 5e4, "larger": 6e4, "small": 1e-4, "zero": 0}
    weights = [constant(name, np.float32(number)) for name, number in factors.items()]
    proto = model(nodes, [value("x", "N", 16)], [value("y", "N", 16)], weights)
    for found in judged(proto, tmp_path):
        assert (found.verdict, found.node) == (Verdict.FAILED, "z.node")
        assert "keep this node" not in found.message
        assert "bf16" in found.message
        assert "export the model without control flow" in found.message
