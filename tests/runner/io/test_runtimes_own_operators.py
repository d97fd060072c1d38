"""Models that ONNX Runtime has fused: its own operators in the default domain, which ONNX does not define there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import helper, numpy_helper

from assay_api.report import Verdict
from assay_runner.checks.fp16_range import Fp16Range
from assay_runner.errors import InvalidInput
from tests.models import Samples
from tests.runner.io.made import info, loaded, normal, save
from tests.runner.numerics.candidates import USUAL, measured

X = normal(12, 16) + np.float32(3)
WEIGHT = normal(16, 16, seed=1)
FUSED = {"LayerNormalization": 11, "SimplifiedLayerNormalization": 17}
"""Operator, and an opset that does not have it."""


def fused(path: Path, op: str, *more: Any, **how: Any) -> Path:
    """x → product → normalisation `y`, and what more reads `y`."""
    scale = numpy_helper.from_array(np.ones(16, np.float32), "s")
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["h"], name="product"),
        helper.make_node(op, ["h", "s"], ["y"], name="norm", axis=-1, epsilon=1e-5),
        *more,
    ]
    weights = [numpy_helper.from_array(WEIGHT, "w"), scale]
    opsets = [helper.make_opsetid("", FUSED[op])]
    values = [info("x", ["b", 16])], [info("y", ["b", 16])]
    return save(path, nodes, *values, initializer=weights, opsets=opsets, ir_version=8, **how)


def normal_of(op: str) -> Any:
    h = X.astype(np.float64) @ WEIGHT
    centred = h - h.mean(-1, keepdims=True) if op[0] == "L" else h
    return centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-5)


@pytest.mark.parametrize("op", FUSED)
def test_they_are_audited(op: str, tmp_path: Path) -> None:
    path = fused(tmp_path / "m.onnx", op)
    with pytest.raises(onnx.checker.ValidationError, match=f"No Op registered for {op}"):
        onnx.checker.check_model(path.read_bytes())
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    [y] = session.run(None, {"x": X})
    assert y == pytest.approx(normal_of(op), abs=1e-5)
    found = measured(onnx.load(str(path)), "fp16", Samples({"x": X}), tmp_path / "fp16", *USUAL, Fp16Range()).findings
    assert {finding.check: finding.verdict for finding in found} == {
        "finite": Verdict.PASSED,
        "outputDrift": Verdict.PASSED,
        "layerDrift": Verdict.PASSED,
        "runToRun": Verdict.PASSED,
        "fp16Range": Verdict.PASSED,
    }


@pytest.mark.parametrize("op", FUSED)
def test_they_are_taken_with_weights_beside_them(op: str, tmp_path: Path) -> None:
    beside = {"save_as_external_data": True, "location": "weights.bin", "size_threshold": 0}
    model = loaded(fused(tmp_path / "m" / "m.onnx", op, **beside), tmp_path / "scratch")
    assert (model.path.parent / "weights.bin").exists()


@pytest.mark.parametrize("op", FUSED)
def test_what_is_wrong_beside_them_is_told(op: str, tmp_path: Path) -> None:
    odd = helper.make_node("Frobnicate", ["y"], ["z"], name="odd")
    with pytest.raises(InvalidInput, match=r"uses operator Frobnicate \(node 'odd'\)"):
        loaded(fused(tmp_path / "m.onnx", op, odd), tmp_path / "scratch")
