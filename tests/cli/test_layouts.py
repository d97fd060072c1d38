"""Whole audits of a model with a state along its second axis and a scalar: in batches, and as feeds."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from onnx import helper, numpy_helper

from assay_api.report import Report
from tests.cli.audits import FP32, assay, document, report_of, run, spec, write
from tests.runner.io.made import info, normal, save, shard, stateful

FP16 = {"name": "fp16", "backend": "onnxruntime", "precision": "fp16"}
INT8 = {"name": "int8", "backend": "onnxruntime", "precision": "int8", "calibration": {"uri": "file://./calib/"}}
EVERY: list[dict[str, Any]] = [
    {"finite": {}}, {"outputDrift": {}}, {"layerDrift": {}}, {"extraOutput": {}},
    {"runToRun": {"runs": 2, "batches": 1, "conditions": ["sameSession"]}},
    {"latency": {"runs": 3}}, {"fp16Range": {"accumulator": "fp32"}},
]  # fmt: skip
BAD = 21
"""The sample, or feed, whose squares FP16 does not hold."""
AS_SHIPPED = {"sr": {"constant": 16_000}, "state": {"axis": 1}}


def found(report: Report, candidate: str, check: str) -> tuple[str, str]:
    """The worst of a check's findings, and what they say."""
    all_ = [f for f in report.findings if (f.candidate, f.check) == (candidate, check)]
    verdicts = {str(f.verdict) for f in all_}
    worst = next(verdict for verdict in ("Failed", "Inconclusive", "Passed") if verdict in verdicts)
    return worst, " ".join(f.message for f in all_)


def batched(folder: Path, batch: str | None) -> None:
    stateful(folder / "model.onnx", batch)
    x, state = normal(37, 16), normal(2, 37, 8, seed=1)
    x[BAD] *= 500
    for number, some in enumerate((slice(0, 20), slice(20, 37))):
        shard(folder / "data" / f"{number}.npz", input=x[some], state=np.asfortranarray(state[:, some]))
    shard(folder / "calib" / "0.npz", input=normal(9, 16, seed=2), state=normal(2, 9, 8, seed=3))


@pytest.mark.parametrize("batch", ["batch", None])
def test_a_model_with_a_state_and_a_scalar_is_audited_as_it_is(
    batch: str | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    batched(tmp_path, batch)
    dataset = {"uri": "file://./data/", "batch": 8, "inputs": AS_SHIPPED}
    checks = [*EVERY, {"batchInvariance": {}}]
    ended = run(tmp_path, capsys, dataset=dataset, candidates=[FP32, FP16, INT8], checks=checks)
    report = report_of(tmp_path)
    verdicts = {c.name: c.verdict for c in report.candidates}
    assert verdicts["fp32"] == "Passed", [f.message for f in report.findings if f.candidate == "fp32"]
    assert verdicts["fp16"] == "Failed"
    assert found(report, "fp16", "outputDrift")[0] == "Failed"
    assert f"sample {BAD}" in found(report, "fp16", "outputDrift")[1]
    assert found(report, "fp32", "batchInvariance")[0] == "Passed"
    assert found(report, "int8", "layerDrift")[0] in ("Passed", "Failed")
    assert ended.code == 1
    assert report.dataset.samples == 37


def fed(folder: Path, count: int = 24) -> list[Mapping[str, Any]]:
    """Feeds of one to four rows; of each, the numbers that go in."""
    every: list[Mapping[str, Any]] = []
    for number in range(count):
        rows = 1 + number % 4
        arrays = {
            "input": normal(rows, 16, seed=number) * (500 if number == BAD else 1),
            "state": normal(2, rows, 8, seed=100 + number),
            "sr": np.asarray(16_000 if number % 2 else 8_000),
        }
        shard(folder / "data" / f"{number:02}.npz", False, **arrays)
        every.append(arrays)
    return every


def bare(model: Path, feeds: list[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """What ONNX Runtime alone makes of each feed."""
    session = onnxruntime.InferenceSession(str(model), providers=["CPUExecutionProvider"])
    return [dict(zip(("output", "stateN"), session.run(["output", "stateN"], feed), strict=True)) for feed in feeds]


@pytest.mark.parametrize("batch", ["batch", None])
def test_each_feed_is_judged_as_a_sample(batch: str | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stateful(tmp_path / "model.onnx", batch)
    fed(tmp_path)
    fed(tmp_path / "calibration", 5)
    calibration = {"uri": "file://./calibration/data/"}
    dataset = {"uri": "file://./data/", "layout": "feeds"}
    candidates = [FP32, FP16, {**INT8, "calibration": calibration}]
    ended = run(tmp_path, capsys, dataset=dataset, candidates=candidates, checks=EVERY)
    report = report_of(tmp_path)
    assert {c.name: c.verdict for c in report.candidates if c.name != "int8"} == {"fp32": "Passed", "fp16": "Failed"}
    verdict, message = found(report, "fp16", "outputDrift")
    assert (verdict, ended.code) == ("Failed", 1)
    assert f"sample {BAD}" in message
    assert found(report, "int8", "layerDrift")[0] in ("Passed", "Failed")
    assert (report.dataset.samples, report.dataset.batch) == (24, 1)
    assert (report.dataset.layout, report.dataset.reader) == ("feeds", "npz")
    assert "24 feeds" in (tmp_path / "out" / "report.html").read_text()


def test_beside_a_feed_there_is_never_anything(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stateful(tmp_path / "model.onnx")
    fed(tmp_path, 3)
    dataset = {"uri": "file://./data/", "layout": "feeds"}
    again = {"runToRun": {"runs": 2, "batches": 1, "conditions": ["newProcess"]}}
    run(tmp_path, capsys, dataset=dataset, candidates=[FP32], checks=[{"batchInvariance": {}}, again])
    assert found(report_of(tmp_path), "fp32", "runToRun")[0] == "Passed"
    assert found(report_of(tmp_path), "fp32", "batchInvariance") == (
        "Inconclusive",
        "each feed is run by itself, so there is never anything beside a sample: leave batchInvariance out",
    )


@pytest.mark.parametrize("off", [0.0, 0.3])
def test_stored_outputs_go_with_their_feeds_by_name(
    off: float, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The third feed's alone are off, and another folder holds them in another order of writing."""
    feeds = fed(tmp_path, 6)
    outputs = bare(stateful(tmp_path / "model.onnx"), feeds)
    for number, arrays in reversed(list(enumerate(outputs))):
        shard(
            tmp_path / "golden" / f"{number:02}.npz", **{n: a + (off if number == 2 else 0) for n, a in arrays.items()}
        )
    shard(tmp_path / "golden" / "unasked.npz", **outputs[0])
    dataset, golden = {"uri": "file://./data/", "layout": "feeds"}, {"uri": "file://./golden/"}
    run(tmp_path, capsys, dataset=dataset, golden=golden, candidates=[FP32], checks=[{"outputDrift": {"maxAbs": 0.1}}])
    verdict, message = found(report_of(tmp_path), "fp32", "outputDrift")
    assert verdict == ("Failed" if off else "Passed"), message
    assert ("sample 2" in message) == bool(off)


def test_a_feed_without_stored_outputs_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    feeds = fed(tmp_path, 3)
    outputs = bare(stateful(tmp_path / "model.onnx"), feeds)
    for number in (0, 2):
        shard(tmp_path / "golden" / f"{number:02}.npz", **outputs[number])
    dataset, golden = {"uri": "file://./data/", "layout": "feeds"}, {"uri": "file://./golden/"}
    ended = run(tmp_path, capsys, dataset=dataset, golden=golden, candidates=[FP32], checks=[{"outputDrift": {}}])
    assert ended.code == 64
    assert "have none for feed '01' of the dataset" in ended.err


def test_a_feed_has_one_label(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Clouds of points, each of one class; the first is labelled wrong."""
    save(
        tmp_path / "model.onnx",
        [helper.make_node("ReduceMean", ["x"], ["y"], axes=[0], keepdims=0)],
        [info("x", ["points", 4])],
        [info("y", [4])],
    )
    for number in range(6):
        x = normal(3 + number, 4, seed=number)
        shard(
            tmp_path / "data" / f"{number}.npz",
            x=x,
            label=np.array([np.argmax(x.mean(0)) if number else np.argmin(x.mean(0))]),
        )
    dataset = {"uri": "file://./data/", "layout": "feeds", "labels": "label"}
    run(tmp_path, capsys, dataset=dataset, candidates=[FP32], checks=[{"labelAccuracy": {}}])
    _, message = found(report_of(tmp_path), "fp32", "labelAccuracy")
    assert "top1 83.33 % against golden's 83.33 % on 6 samples" in message


@pytest.mark.parametrize(
    ("dataset", "sentence"),
    [
        ({"batch": 8}, "layout feeds runs each feed by itself, in the shapes it has: remove batch"),
        ({"inputs": AS_SHIPPED}, "layout feeds takes every input from each feed, as the model takes it: remove inputs"),
        ({"layout": "rows"}, "layout"),
    ],
)
def test_what_feeds_do_not_go_with_is_refused(
    dataset: dict[str, Any], sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stateful(tmp_path / "model.onnx")
    fed(tmp_path, 1)
    wrong = {"uri": "file://./data/", "layout": "feeds", **dataset}
    ended = assay(capsys, "validate", "-f", write(tmp_path, document(spec(dataset=wrong))))
    assert ended.code == 64
    assert sentence in ended.out


def lstm(path: Path, batch: str | int | None) -> Path:
    """x (T, batch, 4), h (1, batch, 5) and c alike: every sample lies along the second axis, of the outputs too."""
    random = np.random.default_rng(0)
    weights = {"w": random.standard_normal((1, 20, 4)), "r": random.standard_normal((1, 20, 5))}
    return save(
        path,
        [helper.make_node("LSTM", ["x", "w", "r", "", "", "h", "c"], ["y", "yh"], hidden_size=5, name="lstm")],
        [info("x", ["T", batch, 4]), info("h", [1, batch, 5]), info("c", [1, batch, 5])],
        [info("y", ["T", 1, batch, 5]), info("yh", [1, batch, 5])],
        initializer=[numpy_helper.from_array(array.astype(np.float32), name) for name, array in weights.items()],
    )


@pytest.mark.parametrize("batch", ["B", None, 1, 4])
@pytest.mark.parametrize("off", [0.0, 0.5])
def test_samples_along_the_second_axis_of_everything(
    batch: str | int | None, off: float, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Golden outputs by ONNX Runtime alone, sample 11 off in one case; six steps, as a batch may have six samples."""
    x, h, c = normal(6, 13, 4), normal(1, 13, 5, seed=1), normal(1, 13, 5, seed=2)
    session = onnxruntime.InferenceSession(str(lstm(tmp_path / "free.onnx", "B")), providers=["CPUExecutionProvider"])
    y, yh = session.run(["y", "yh"], {"x": x, "h": h, "c": c})
    y = np.moveaxis(y, 2, 0).copy()
    y[11] += off
    shard(tmp_path / "golden.npz", y=y, yh=np.moveaxis(yh, 1, 0))
    for number, some in enumerate((slice(0, 5), slice(5, 13))):
        shard(tmp_path / "data" / f"{number}.npz", x=x[:, some], h=h[:, some], c=c[:, some])
    lstm(tmp_path / "model.onnx", batch)
    dataset = {"uri": "file://./data/", "batch": 6, "inputs": {name: {"axis": 1} for name in "xhc"}}
    golden = {"uri": "file://./golden.npz"}
    checks = [{"outputDrift": {"maxAbs": 1e-4, "cosine": 0.9999}}]
    run(tmp_path, capsys, dataset=dataset, golden=golden, candidates=[FP32], checks=checks)
    verdict, message = found(report_of(tmp_path), "fp32", "outputDrift")
    assert verdict == ("Failed" if off else "Passed"), message
    assert ("sample 11" in message) == bool(off)
