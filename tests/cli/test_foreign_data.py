"""Audits on what other tools have saved: inputs, and outputs as golden, in both layouts."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from onnx import helper, numpy_helper

from assay_runner.tensors import Array
from tests.cli.audits import FP32, report_of, run
from tests.runner.io.made import info, normal, save, shard

Feed = dict[str, Array]
CHECKS = [{"outputDrift": {"maxAbs": 0.05, "cosine": 0.99}}]


def time_first(path: Path, batch: int | str = "batch") -> Path:
    """x (batch, 6) to y (3, batch, 6), whose samples lie along the second axis, and to z (batch, 6)."""
    return save(
        path,
        [
            helper.make_node("Unsqueeze", ["x", "zero"], ["u"]),
            helper.make_node("Mul", ["u", "steps"], ["y"], name="y"),
            helper.make_node("Tanh", ["x"], ["z"], name="z"),
        ],
        [info("x", [batch, 6])],
        [info("y", [3, batch, 6]), info("z", [batch, 6])],
        initializer=[
            numpy_helper.from_array(np.array([0], np.int64), "zero"),
            numpy_helper.from_array(np.arange(1, 4, dtype=np.float32).reshape(3, 1, 1), "steps"),
        ],
    )


def bare(model: Path, feeds: list[Feed]) -> list[Feed]:
    session = onnxruntime.InferenceSession(str(model), providers=["CPUExecutionProvider"])
    return [dict(zip(("y", "z"), session.run(["y", "z"], feed), strict=True)) for feed in feeds]


def zoo(folder: Path, feeds: list[Feed], outputs: list[Feed]) -> Mapping[str, Any]:
    """A folder as ONNX's model zoo has them: numbers, no names."""
    for number, (feed, output) in enumerate(zip(feeds, outputs, strict=True)):
        target = folder / "zoo" / f"test_data_set_{number}"
        target.mkdir(parents=True)
        for kind, arrays in (("input", feed), ("output", output)):
            for place, array in enumerate(arrays.values()):
                (target / f"{kind}_{place}.pb").write_bytes(numpy_helper.from_array(array).SerializeToString())
    return {"dataset": {"uri": "file://./zoo/"}, "golden": {"uri": "file://./zoo/"}}


def polygraphy(folder: Path, feeds: list[Feed], outputs: list[Feed]) -> Mapping[str, Any]:
    """What `polygraphy run --save-inputs inputs.json --save-outputs outputs.json` leaves."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from polygraphy.comparator import RunResults
        from polygraphy.json import save_json

        save_json(feeds, str(folder / "inputs.json"))
        results = RunResults()
        results.add(outputs, runner_name="onnxrt-runner-N0")
        results.save(str(folder / "outputs.json"))
    return {"dataset": {"uri": "file://./inputs.json"}, "golden": {"uri": "file://./outputs.json"}}


def mixed(folder: Path, feeds: list[Feed], outputs: list[Feed]) -> Mapping[str, Any]:
    """Feeds in files with names, golden outputs by Polygraphy, which has none: their order decides."""
    for number, feed in enumerate(feeds):
        shard(folder / "feeds" / f"cloud-{number}.npz", False, **feed)
    return {**polygraphy(folder, feeds, outputs), "dataset": {"uri": "file://./feeds/"}}


@pytest.mark.parametrize("saved", [zoo, polygraphy, mixed])
@pytest.mark.parametrize("layout", ["samples", "feeds"])
@pytest.mark.parametrize("wrong", [None, 4])
def test_saved_outputs_are_golden(
    saved: Any, layout: str, wrong: int | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Five iterations of three rows; in one case the outputs of the last are off in one row, 13 of all."""
    feeds: list[Feed] = [{"x": normal(3, 6, seed=seed)} for seed in range(5)]
    outputs = bare(time_first(tmp_path / "model.onnx"), feeds)
    if wrong is not None:
        outputs[wrong]["y"] = outputs[wrong]["y"].copy()
        outputs[wrong]["y"][:, 1] += 1
    given = saved(tmp_path, feeds, outputs)
    dataset = {**given["dataset"], **({"layout": "feeds"} if layout == "feeds" else {"batch": 4})}
    ended = run(tmp_path, capsys, dataset=dataset, golden=given["golden"], candidates=[FP32], checks=CHECKS)
    report = report_of(tmp_path)
    assert ended.code == (0 if wrong is None else 1), ended.err
    assert report.dataset.samples == (5 if layout == "feeds" else 15)
    if wrong is not None:
        worst = f"sample {4 if layout == 'feeds' else 13}"
        assert any(worst in f.message for f in report.findings if f.verdict == "Failed")


@pytest.mark.parametrize(
    ("spoilt", "sentence"),
    [
        ("more", "are of 6 feeds, and the dataset"),
        ("runners", "outputs.json holds the outputs of several runners: save those of the one that is to be golden"),
        ("inputs", "outputs.json, part 0 has no array for the model's output 'y': it holds 'x'"),
    ],
)
def test_saved_outputs_that_do_not_belong_are_refused(
    spoilt: str, sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    feeds: list[Feed] = [{"x": normal(3, 6, seed=seed)} for seed in range(5)]
    outputs = bare(time_first(tmp_path / "model.onnx"), feeds)
    given = polygraphy(tmp_path, feeds, [*outputs, outputs[0]] if spoilt == "more" else outputs)
    if spoilt == "runners":
        text = (tmp_path / "outputs.json").read_text()
        (tmp_path / "outputs.json").write_text(text.replace('"lst": [', '"lst": [["first", []], ', 1))
    if spoilt == "inputs":
        (tmp_path / "outputs.json").write_text((tmp_path / "inputs.json").read_text())
    dataset = {**given["dataset"], "layout": "feeds"}
    ended = run(tmp_path, capsys, dataset=dataset, golden=given["golden"], candidates=[FP32], checks=CHECKS)
    assert ended.code == 64
    assert sentence in ended.err
