"""`assay validate` tells every mistake of a document in one round: of fields, across fields, in checks, of the head."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.cli.audits import assay, document, spec, write

TRT = {"name": "trt", "backend": "tensorrt", "precision": "fp16"}


def told(capsys: pytest.CaptureFixture[str], folder: Path, body: Any) -> str:
    ended = assay(capsys, "validate", "-f", write(folder, body))
    assert ended.code == 64
    lines = ended.out.splitlines()
    assert len(lines) == len(set(lines))
    return ended.out


def test_rules_across_fields_are_told_beside_mistakes_in_fields(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each of these stood behind another: in the same object, below it, above it, or beside it in a list."""
    wrong = document(
        spec(
            model={"uri": "http://x/m.onnx"},
            dataset={"uri": "file:///d", "layout": "feeds", "batch": 8, "inputs": {"x": {"axis": 1}}, "samples": "9"},
            golden={"precision": "fp32", "uri": "file:///g"},
            candidates=[
                {**TRT, "precision": "int8"},
                {
                    **TRT,
                    "backend": "onnxruntime",
                    "typing": "weak",
                    "layers": [{"nodes": "Softmax", "precision": "int4"}],
                },
            ],
            checks=[
                {"labelAccuracy": {}},
                {"finite": {}},
                {"finite": {}},
                {"metric": {"name": "b", "keep": 2, "atLeast": 1}},
            ],
            storage={"secretRef": {"name": "s"}, "serviceAccountName": "a", "endpoint": "nowhere"},
            maxParallel=0,
        )
    )
    found = told(capsys, tmp_path, wrong)
    for part in (
        "spec.model.uri: ", "spec.dataset.samples: ", "spec.maxParallel: ", "spec.storage.endpoint: ",
        "spec.candidates[1].layers[0].precision: ",
        "spec.dataset: layout feeds runs each feed by itself", "spec.dataset: layout feeds takes every input",
        "spec.golden: golden takes exactly one of",
        "spec.candidates[0]: an int8 or fp8 candidate needs calibration",
        "spec.candidates[1]: typing is a choice of the tensorrt backend",
        "spec.candidates[1]: build and layers are choices of the tensorrt backend",
        "spec: duplicate name 'trt' in candidates",
        "spec: labelAccuracy needs labels", "spec: finite stands twice in checks",
        "spec.storage: storage takes secretRef",
        "spec.checks[3].metric: a metric is judged by keep",
    ):  # fmt: skip
        assert found.count(part) == 1, (part, found)


def test_a_mistake_calls_no_other(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A rule that reads what is wrong, or what an unknown field is meant to be, says nothing."""
    for candidate in (
        {**TRT, "precision": "int9", "calibration": {"uri": "file:///c"}},
        {"name": "t", "backend": "tensorrt", "precison": "fp16"},
    ):
        assert len(told(capsys, tmp_path, document(spec(candidates=[candidate]))).splitlines()) == 1
    wrong = document(spec(dataset={"uri": "file:///d", "label": "y"}, checks=[{"labelAccuracy": {}}]))
    assert told(capsys, tmp_path, wrong).count("\n") == 1
    wrong = document(spec(dataset=None, checks=[{"labelAccuracy": {}}]))
    assert told(capsys, tmp_path, wrong).count("\n") == 1


def test_an_infinite_number_hides_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wrong = document(spec(checks=[{"outputDrift": {"maxAbs": float("inf"), "topK": 0}}], maxParallel=0, modle=1))
    found = told(capsys, tmp_path, wrong)
    for part in ("outputDrift.maxAbs: must be a finite", "outputDrift.topK: ", "spec.maxParallel: ", "spec.modle: "):
        assert found.count(part) == 1, (part, found)


def test_a_misspelt_head_hides_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for head in ({"kind": "AccuracyAudits"}, {"apiVersion": "assay.dev/v1"}):
        found = told(capsys, tmp_path, document(spec(maxParallel=0)) | head)
        assert next(iter(head)) in found
        assert "spec.maxParallel: " in found
    assert (
        told(capsys, tmp_path, {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": {"a": 1}}).count(
            "spec"
        )
        == 0
    )


def test_a_sweep_tells_all_of_its_mistakes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    template = {**spec(checks=[{"outputDrift": {"topK": 0}}]), "artifacts": {"uri": "file:///a/{model}"}}
    template["candidates"] = [{"name": "e", "backend": "tensorrt", "engine": {"uri": "file:///one.plan"}}]
    template["target"] = {"image": "an-image"}
    del template["model"]
    models = [{"name": "a", "uri": "file:///a.onnx"}, {"name": "a", "uri": "file:///b.onnx"}]
    body = {
        "template": template, "models": models, "images": ["i"], "maxParallel": 0,
        "schedule": {"cron": "61 * * * *", "timeZone": "Mars/Olympus"},
    }  # fmt: skip
    found = told(capsys, tmp_path, document(body) | {"kind": "AccuracySweep"})
    for part in (
        "spec.maxParallel: ", "spec.template.checks[0].outputDrift.topK: ", "spec: duplicate name 'a' in models",
        "spec: images takes the place of template.target.image", "spec.template.artifacts.uri: takes no {model}",
        "spec.template.candidates: an engine is of one model", "spec.schedule.timeZone: ",
    ):  # fmt: skip
        assert found.count(part) == 1, (part, found)
