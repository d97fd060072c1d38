"""The metrics that examples/metrics ships, installed and run, and targets that cannot be read."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml

from tests.cli.audits import assay, report_of
from tests.wire import details

EXAMPLE = Path(__file__).parents[2] / "examples" / "metrics"
POINTS = (
    "[assay.metrics]\nword-accuracy = assay_example_metrics:WordAccuracy\nmean-iou = assay_example_metrics:MeanIoU\n"
    "mean-average-precision = assay_example_metrics:MeanAveragePrecision\n"
)


@pytest.fixture(autouse=True)
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The example's package, as pip would leave it; its entry points are those of its pyproject.toml."""
    for line in POINTS.splitlines()[1:]:
        assert line.replace(" = ", ' = "') + '"' in (EXAMPLE / "pyproject.toml").read_text()
    info = tmp_path / "site" / "assay_example_metrics-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: assay-example-metrics\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(POINTS)
    shutil.copy(EXAMPLE / "assay_example_metrics.py", tmp_path / "site")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))


def test_the_example_runs_and_its_figures_are_right(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ended = assay(capsys, "run", "-f", str(EXAMPLE / "reader.yaml"), "--out", str(tmp_path / "out"))
    assert ended.code == 0, ended.err
    found = [f for f in report_of(tmp_path).findings if f.check == "metric"]
    assert len(found) == 3 * 4
    assert all(f.verdict == "Passed" and details(f)["samples"] == 159 for f in found)
    [said] = [f for f in found if f.candidate == "fp16" and "word-accuracy" in f.message]
    # Of the 795 digits in 159 lines, those that the CNN of examples/digits reads wrongly: all of the same length.
    parts = [dict(np.load(path)) for path in sorted((EXAMPLE.parent / "digits" / "data").glob("*.npz"))]
    image, label = (np.concatenate([part[name] for part in parts])[:795] for name in ("image", "label"))
    import onnxruntime as ort

    [logits] = ort.InferenceSession(EXAMPLE.parent / "digits" / "digits-cnn.onnx").run(None, {"image": image})
    assert details(said)["goldenMean"] == pytest.approx((logits.argmax(axis=1) == label).mean())


def test_a_target_that_is_not_there_or_holds_objects_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(EXAMPLE, tmp_path / "audit")
    file = tmp_path / "audit" / "reader.yaml"
    document = yaml.safe_load(file.read_text())
    arrays = dict(np.load(EXAMPLE / "data" / "part-000.npz"))
    document["spec"]["dataset"]["targets"] = ["transcripts"]
    file.write_text(json.dumps(document))
    ended = assay(capsys, "run", "-f", str(file), "--out", str(tmp_path / "out"))
    assert ended.code == 64
    assert "no array of target 'transcripts' (dataset.targets)" in ended.err
    assert "transcript" in ended.err
    ragged = np.array([[1], [1, 2], *[[3]] * 157], object)
    np.savez(tmp_path / "audit" / "data" / "part-000.npz", **(arrays | {"transcripts": ragged}))
    ended = assay(capsys, "run", "-f", str(file), "--out", str(tmp_path / "out"))
    assert ended.code == 64
    assert "'transcripts' of part-000.npz holds Python objects, which are not unpickled" in ended.err


def test_what_fails_such_a_metric_is_repaired(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(EXAMPLE, tmp_path / "audit")
    file = tmp_path / "audit" / "reader.yaml"
    document = yaml.safe_load(file.read_text())
    calib = tmp_path / "audit" / "calib" / "part-000.npz"
    np.savez(calib, line=np.load(calib)["line"] * np.float32(0.03))
    spec = document["spec"]
    spec["candidates"] = [one for one in spec["candidates"] if one["name"] == "int8"]
    spec["checks"] = [{"metric": {"name": "word-accuracy", "keep": 0.95}}]
    spec["remedies"] = {"calibration": {}}
    file.write_text(json.dumps(document))
    ended = assay(capsys, "repair", "-f", str(file), "--out", str(tmp_path / "out"))
    assert ended.code == 0, ended.out + ended.err
    assert "int8, calibration: cured" in ended.out
    assert "kept 1" in ended.out or "kept 9" in ended.out
