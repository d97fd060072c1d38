"""`assay run` where one candidate cannot be made: the others stand, and so does what became of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from tests.cli.audits import good, report_of, run
from tests.models import constant, model, node, value

EIGHT = {"name": "int8", "backend": "onnxruntime", "precision": "int8", "calibration": {"uri": "file://./data/"}}
HALF = {"name": "fp16", "backend": "onnxruntime", "precision": "fp16"}
PAIRS = {"name": "int8", "backend": "onnxruntime", "precision": "int8", "model": {"uri": "file://./model.onnx"}}


@pytest.mark.parametrize("eight", [EIGHT, PAIRS], ids=["calibrated", "as it is"])
@pytest.mark.parametrize(("weight", "code", "verdict"), [(1e5, 1, "Failed"), (1.0, 2, "Passed")])
def test_a_candidate_that_cannot_be_made_hides_no_breach_and_is_no_wrong_input(
    eight: dict[str, object], weight: float, code: int, verdict: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """There is no product to be quantised, which is nobody's fault; 1e5 is infinite in FP16."""
    good(tmp_path)
    weights = [constant("w", np.float32(weight))]
    proto = model([node("Mul", "x w", "y")], [value("x", "N", 3)], [value("y", "N", 3)], weights)
    onnx.save(proto, str(tmp_path / "model.onnx"))
    dataset = {"uri": "file://./data/"}
    ended = run(tmp_path, capsys, dataset=dataset, candidates=[eight, HALF], checks=[{"outputDrift": {}}])
    assert ended.code == code
    [complaint] = ended.complaints
    assert complaint.startswith("assay: candidate int8: ")
    found = [(candidate.name, candidate.verdict) for candidate in report_of(tmp_path).candidates]
    assert found == [("int8", "Inconclusive"), ("fp16", verdict)]
