"""What golden itself does not hold of a tensor says nothing of a candidate: `layerDrift` on terms that cancel."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from assay_api.report import Report
from tests.cli.audits import FP32, report_of, run
from tests.models import constant, model, node, random, value
from tests.runner.io.made import shard

WIDTH = 64
WEIGHTS = np.round(2e6 * random(WIDTH, 3, seed=3))
BOTH = np.concatenate([WEIGHTS, random(WIDTH, 3, seed=4) - WEIGHTS]).astype(np.float32)
"""Of inputs whose halves are alike all but ten millionths cancels."""
ANOTHER = {**FP32, "name": "another", "model": {"uri": "file://./another.onnx"}}


def summed(*parts: slice, gain: float = 1.0) -> onnx.ModelProto:
    """A tensor of which little is left, beside a large one; its terms part after part."""
    nodes, weights = [], [constant("gain", np.float32(gain))]
    for number, part in enumerate(parts):
        weights += [constant(f"w{number}", BOTH[part]), constant(f"at{number}", np.arange(2 * WIDTH)[part])]
        nodes.append(node("Gather", f"x at{number}", f"x{number}of{len(parts)}", axis=1))
        nodes.append(node("MatMul", f"x{number}of{len(parts)} w{number}", f"p{number}of{len(parts)}"))
    nodes += [
        node("Sum", " ".join(f"p{number}of{len(parts)}" for number in range(len(parts))), "total"),
        node("Mul", "total gain", "small"),
        node("Slice", "x from to axis", "first"),
        node("Mul", "first many", "large"),
        node("Add", "small large", "y"),
    ]
    weights += [
        constant("from", np.array([0])), constant("to", np.array([3])), constant("axis", np.array([1])),
        constant("many", np.float32(1e5)),
    ]  # fmt: skip
    return model(nodes, [value("x", "N", 2 * WIDTH)], [value("y", "N", 3)], weights)


def audited(folder: Path, capsys: pytest.CaptureFixture[str], gain: float = 1.0, **changes: Any) -> Report:
    onnx.save(summed(slice(None)), folder / "model.onnx")
    onnx.save(summed(slice(None, None, 2), slice(1, None, 2), gain=gain), folder / "another.onnx")
    half = random(24, WIDTH, seed=5)
    shard(folder / "data" / "part-0.npz", x=np.concatenate([half, half], axis=1))
    changes.setdefault("checks", [{"layerDrift": {"snr": 30}}])
    run(folder, capsys, **{"dataset": {"uri": "file://./data/", "batch": 8}, "candidates": [ANOTHER], **changes})
    return report_of(folder)


def test_golden_s_own_noise_of_a_tensor_fails_no_candidate(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    x = np.concatenate([half := random(24, WIDTH, seed=5).astype(np.float64), half], axis=1)
    exact, single = x @ BOTH.astype(np.float64), x.astype(np.float32) @ BOTH
    noise = 10 * np.log10((exact**2).sum() / ((exact - single) ** 2).sum())
    assert noise < 20
    [finding] = audited(tmp_path, capsys).findings
    assert finding.verdict == "Inconclusive", finding.message
    assert "tensor 'total'" in finding.message
    assert "within golden's own noise: golden itself, in FP32, has" in finding.message
    assert "set golden.precision: fp64, or a limit that golden holds" in finding.message


def test_an_error_far_beyond_it_is_the_candidate_s(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    [finding] = audited(tmp_path, capsys, gain=1e3).findings
    assert finding.verdict == "Failed"
    assert finding.tensor == "small"


def test_with_golden_in_fp64_it_is_judged(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    [finding] = audited(tmp_path, capsys, golden={"precision": "fp64"}).findings
    assert finding.verdict == "Failed"
    assert "golden's own noise" not in finding.message


def test_a_limit_that_golden_holds_is_judged_as_ever(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    [finding] = audited(tmp_path, capsys, checks=[{"layerDrift": {"snr": -10, "localSnr": -10}}]).findings
    assert finding.verdict == "Passed"
    assert "noise" not in finding.message
