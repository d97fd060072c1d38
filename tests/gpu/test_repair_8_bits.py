"""8-bit engines that fail are cured by another calibration, or by weights alone in 8 bits, strongly typed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import pytest

from assay_api.model import parse
from assay_api.repair import RemedyEntry
from assay_api.report import Report, Verdict
from tests.gpu.audits import audit, run, trt

pytestmark = pytest.mark.usefixtures("gpu")

DIGITS: Final = Path(__file__).parents[2] / "examples" / "digits"
POOR: Final = {"uri": f"file://{DIGITS}/calib-poor/", "method": "minmax", "quantization": "explicit"}


def repaired(folder: Path, model: str, **remedies: Any) -> tuple[RemedyEntry, Report]:
    """An INT8 engine calibrated on dim images, and the report of its repair."""
    checks = [{"labelAccuracy": {"metric": "top1", "keep": 0.97}}]
    candidate = trt("int8", calibration=POOR)
    document = audit("repair", DIGITS / f"{model}.onnx", DIGITS / "data", [candidate], checks, labels="label", batch=64)
    document["spec"]["remedies"] = remedies
    told = run(document, folder)
    report = parse(Report, json.loads((told.out / "repair" / "report.json").read_bytes()))
    [found] = report.repair[0].remedies
    print(found.outcome, found.message)
    return found, report


@pytest.mark.parametrize("model", ["digits-cnn", "digits-vit"])
def test_samples_of_the_dataset_cure_a_poor_calibration(model: str, tmp_path: Path) -> None:
    found, report = repaired(tmp_path, model, calibration={})
    assert found.outcome == "Cured", found.message
    assert found.calibrations[0].source == "dataset"
    [engine] = report.candidates
    assert engine.verdict is Verdict.PASSED
    assert not engine.emulated
    assert engine.achieved.get("INT8")
    assert report.repair[0].builds <= 3


@pytest.mark.parametrize("model", ["digits-cnn", "digits-vit"])
def test_weights_alone_build_strongly_typed_and_pass(model: str, tmp_path: Path) -> None:
    found, report = repaired(tmp_path, model, weightOnly={})
    assert found.outcome == "Cured", found.message
    [engine] = report.candidates
    assert engine.verdict is Verdict.PASSED
    assert engine.typing == "strong"
    assert engine.weights_only
