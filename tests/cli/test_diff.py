"""`assay diff` as a pipeline calls it: two runs of real audits, exit codes, a page, and wrong input."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from assay_api.names import ExitCode
from assay_runner.cli import run_command

DIGITS = Path(__file__).parents[2] / "examples" / "digits"


def ran(folder: Path, name: str, calibration: str, samples: int = 64) -> Path:
    text = (
        "apiVersion: assay.dev/v1alpha1\nkind: AccuracyAudit\nmetadata: {name: digits}\nspec:\n"
        f"  model: {{uri: file://{DIGITS}/digits-cnn.onnx}}\n"
        f"  dataset: {{uri: file://{DIGITS}/data/, labels: label, batch: 64, samples: {samples}}}\n"
        "  candidates:\n    - {name: int8, backend: onnxruntime, precision: int8, "
        f"calibration: {{uri: file://{DIGITS}/calib/, {calibration}}}}}\n"
        "  checks: [{outputDrift: {snr: 15}}, {labelAccuracy: {keep: 0.5}}]\n  artifacts: {uri: file://./out/}\n"
    )
    file = folder / f"{name}.yaml"
    file.write_text(text)
    run_command(["run", "-f", str(file), "--out", str(folder / name)])
    return folder / name


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return ran(tmp_path_factory.mktemp("good"), "good", "method: entropy")


@pytest.fixture(scope="module")
def bad(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return ran(tmp_path_factory.mktemp("bad"), "bad", "method: percentile, percentile: 99")


def test_a_run_is_no_worse_than_itself(good: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(["diff", str(good), str(good / "report.json"), "--figures"]) == ExitCode.PASSED
    assert "No verdict changed." in capsys.readouterr().out


def test_a_breach_that_was_none_ends_with_1_and_names_what_changed(
    good: Path, bad: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page, wire = tmp_path / "new" / "diff.html", tmp_path / "diff.json"
    asked = ["diff", str(good), str(bad), "--html", str(page), "--json", str(wire)]
    assert run_command(asked) == ExitCode.BREACHED
    said = capsys.readouterr().out
    assert "int8: outputDrift" in said
    assert "spec.candidates[int8].calibration.percentile" in "".join(said.split()).replace("cali\n", "cali")
    told = json.loads(wire.read_text())
    assert told["worse"]
    assert told["notCompared"] is None
    assert {each["metric"] for each in told["figures"] if each["change"] == "worse"} >= {"snr"}
    assert "<h1>" in page.read_text()
    assert run_command(["diff", str(bad), str(good)]) == ExitCode.PASSED


def test_runs_of_other_data_are_told_apart_by_their_content(
    good: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fewer = ran(tmp_path, "fewer", "method: entropy", samples=32)
    capsys.readouterr()
    assert run_command(["diff", str(good), str(fewer)]) == ExitCode.PASSED
    assert "Figures are not compared, for they are of another data." in capsys.readouterr().out
    contents = [json.loads((each / "report.json").read_text())["content"] for each in (good, fewer)]
    assert len(set(contents)) == 2


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "there is no report"),
        (b"", "is no JSON"),
        (b"[" * 100_000, "is no JSON"),
        (b"[1]", "it has no version"),
        (b'{"version": "assay.dev/report/v9"}', "assay.dev/report/v9"),
        (b'{"version": "assay.dev/report/v1"}', "is a damaged report"),
        (b"\xff\xfe", "is no JSON"),
    ],
)
def test_what_is_no_report_is_said(
    content: bytes | None, said: str, good: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "other.json"
    if content is not None:
        other.write_bytes(content)
    assert run_command(["diff", str(good), str(other)]) == ExitCode.INVALID_INPUT
    error = capsys.readouterr().err
    assert error.startswith("assay: ")
    assert said in error
    assert error.count("\n") == 1
