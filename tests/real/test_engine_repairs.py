"""Repairs of real models as engines, as far as they go without TensorRT: what is asked, what is told of a report."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from assay_runner.cli import run_command
from tests.real.engine_repairs import FAILING, document, engine_row, rows_told, snr, told_by


def finding(candidate: str, worst: float | str, *groups: float) -> dict[str, Any]:
    spread = [{"channels": "channels 0-3", "snr": {"worst": each}} for each in groups]
    details = {"samples": 4, "snr": {"worst": worst}, "groups": spread}
    return {"check": "outputDrift", "candidate": candidate, "verdict": "Failed", "details": details}


def report() -> dict[str, Any]:
    wide = {"a": "bf16", "b": "bf16"}
    remedies = [
        {"remedy": "weightOnly", "outcome": "NotCured", "message": "no"},
        {"remedy": "precision", "outcome": "Cured", "message": "yes", "wide": wide, "repaired": "int8-precision"},
        {"remedy": "calibration", "outcome": "DoesNotApply", "message": "–"},
    ]
    entry = {"remedies": remedies, "builds": 3, "proposals": 20, "seconds": 12.34, "unseenSamples": 2}
    return {
        "candidates": [{"name": "int8", "verdict": "Failed"}, {"name": "int8-precision", "verdict": "Passed"}],
        "findings": [finding("int8", 28.97, 28.98, 0.78), finding("int8-precision", 40.0)],
        "repair": [entry],
    }


def test_a_row_is_of_the_best_remedy_and_of_the_worst_channels(tmp_path: Path) -> None:
    told = {"seconds": 61.0, **told_by(report())}
    assert (told["outcome"], told["by"], told["before"], told["after"]) == ("Cured", "precision", 0.78, 40.0)
    cells = engine_row("nudenet", "int8", told).cells
    assert cells[2:] == (
        "Cured by precision: yes (weightOnly: NotCured)", "2 in BF16", "3", "20", "61 s", "0.78 dB", "40.0 dB",
    )  # fmt: skip
    (tmp_path / "told.json").write_text(json.dumps({"nudenet-int8": told}))
    assert [row.cells for row in rows_told(tmp_path / "told.json", FAILING)] == [cells]


def test_what_has_no_number_is_told_in_words() -> None:
    assert snr({"findings": [finding("fp16", "NaN", 3.0)]}, "fp16") == "NaN"
    assert snr({"findings": [finding("fp16", "Infinity")]}, "fp16") == "equal"
    assert snr({"findings": []}, "fp16") is None
    refused = {"candidates": [{"name": "fp16", "verdict": "Inconclusive", "error": "no such layer"}], "findings": []}
    cells = engine_row("silero-vad", "fp16", {"seconds": 9.0, **told_by(refused)}).cells
    assert cells[2:] == ("refused: no such layer", "–", "–", "–", "9 s", "–", "–")


@pytest.mark.parametrize("row", [("nudenet", "int8"), ("pp-ocr-det", "fp16")])
def test_what_is_asked_is_an_audit_that_assay_takes(row: tuple[str, str], tmp_path: Path) -> None:
    file = tmp_path / "audit.yaml"
    file.write_text(json.dumps(document(*row, level=0)))
    assert run_command(["validate", "-f", str(file)]) == 0
