from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from pydantic import ValidationError

from assay_api.audit import AccuracyAudit, AuditSpec
from assay_api.fields import PATTERNS
from assay_api.model import parse, problems, to_wire
from assay_api.schema import structural
from assay_api.sweep import AccuracySweep
from tests.unit.api.audits import SPEC, audit, spec


def refused(data: dict[str, Any]) -> str:
    with pytest.raises(ValidationError) as caught:
        parse(AccuracyAudit, data)
    return "; ".join(problems(caught.value))


def test_the_audit_of_the_design_is_taken() -> None:
    assert parse(AccuracyAudit, audit()).spec.candidates[1].calibration is not None


ORT = {"name": "a", "backend": "onnxruntime"}
TRT = {"name": "a", "backend": "tensorrt"}
CALIBRATION = {"uri": "s3://data/calib/"}
TIMED = {"timingCache": {"uri": "s3://plans/model.timing"}}


def shapes(least: Sequence[int], best: Sequence[int], most: Sequence[int]) -> dict[str, Any]:
    return {"input": "x", "min": list(least), "opt": list(best), "max": list(most)}


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"modle": {}}, "spec.modle: unknown field"),
        ({"model": None}, "spec.model: required, but missing"),
        ({"model": {"uri": "http://x/y"}}, "spec.model.uri: must be s3://bucket/key, file:///absolute/path or, beside"),
        (
            {"model": {"uri": "s3://m/a.onnx"}},
            "spec.model.uri: the bucket's name has 1 character, and S3 gives buckets",
        ),
        (
            {"model": {"uri": f"s3://{'m' * 64}/a.onnx"}},
            "the bucket's name has 64 characters, and S3 gives buckets names",
        ),
        (
            {"model": {"uri": "s3://Models/a.onnx"}},
            "the bucket's name is not lower-case letters, digits, dots and dashes",
        ),
        ({"model": {"uri": "s3://models-/a.onnx"}}, "dots and dashes with a letter or a digit at either end: correct"),
        ({"model": {"uri": "s3:///a.onnx"}}, "spec.model.uri: names no bucket: write s3://bucket/key"),
        (
            {"model": {"uri": "s3://models/a\nb.onnx"}},
            "spec.model.uri: has a line break in it, which no URI",
        ),
        ({"model": {"uri": "file:///a\nb.onnx"}}, "spec.model.uri: has a line break in it, which no URI takes"),
        ({"model": {"uri": "file://"}}, "spec.model.uri: names no file: write file:///absolute/path"),
        ({"model": {"uri": None}}, "spec.model.uri: required, but missing"),
        ({"model": {"uri": "s3://models/x", "sha256": "ABC"}}, "spec.model.sha256: must be 64 lower-case hexadecimal"),
        ({"model": {"uri": 42}}, "spec.model.uri: must be a string, and YAML reads 42 otherwise: write it in quotes"),
        ({"golden": {}}, "golden takes exactly one of precision"),
        ({"golden": {"precision": "fp32", "uri": "s3://models/g"}}, "golden takes exactly one of precision"),
        ({"candidates": []}, "spec.candidates"),
        ({"candidates": [{**ORT, "precision": "fp16"}] * 2}, "spec: duplicate name 'a' in candidates"),
        ({"candidates": [ORT]}, "exactly one of precision (built here) and engine"),
        (
            {"candidates": [{**ORT, "precision": "fp16", "calibration": CALIBRATION}]},
            "calibration belongs to precision",
        ),
        (
            {"candidates": [{**TRT, "precision": "fp16", "build": {**TIMED, "flags": ["DISABLE_TIMING_CACHE"]}}]},
            "flag DISABLE_TIMING_CACHE has every layer timed anew: remove it, or timingCache",
        ),
        (
            {"candidates": [{**TRT, "precision": "fp16", "build": {**TIMED, "optimizationLevel": 0}}]},
            "optimizationLevel 0 takes the first kernel that works and reads no timings",
        ),
        (
            {"candidates": [{**ORT, "precision": "fp16", "build": TIMED}]},
            "build and layers are choices of the tensorrt backend",
        ),
        (
            {"candidates": [{**TRT, "precision": "fp16", "build": {"timingCache": {}}}]},
            "spec.candidates[0].build.timingCache.uri: required, but missing",
        ),
        ({"candidates": [{**ORT, "precision": "int8"}]}, "an int8 or fp8 candidate needs calibration"),
        ({"candidates": [{**ORT, "precision": "fp8"}]}, "an int8 or fp8 candidate needs calibration"),
        (
            {"candidates": [{**ORT, "precision": "fp8", "calibration": {**CALIBRATION, "percentile": 99.9}}]},
            "percentile belongs to calibration method percentile",
        ),
        (
            {"candidates": [{**ORT, "precision": "fp16", "typing": "weak"}]},
            "typing is a choice of the tensorrt backend",
        ),
        (
            {"candidates": [{**TRT, "engine": {"uri": "s3://engines/a.plan"}, "typing": "weak"}]},
            "an existing plan is audited as it is",
        ),
        ({"candidates": [{**ORT, "precision": "fp16", "build": {"refit": True}}]}, "choices of the tensorrt backend"),
        (
            {"candidates": [{**TRT, "precision": "fp16", "build": {"flags": ["strict"]}}]},
            "must be the name of a flag in capitals",
        ),
        (
            {"candidates": [{**TRT, "precision": "fp16", "build": {"plugins": ["s3://a/b.so"]}}]},
            "must be an absolute path in the runner's image",
        ),
        (
            {"candidates": [{**TRT, "precision": "fp16", "build": {"profile": [shapes((1, 3), (8, 3), (4, 3))]}}]},
            "spec.candidates[0].build.profile[0]: min, opt and max must be in order on every axis",
        ),
        (
            {"candidates": [{**TRT, "precision": "fp16", "build": {"profile": [shapes((1, 3), (8, 3), (16,))]}}]},
            "spec.candidates[0].build.profile[0]: min, opt and max must have as many numbers as the input has axes",
        ),
        (
            {
                "candidates": [
                    {**TRT, "precision": "int8"}
                    | {"calibration": {**CALIBRATION, "quantization": "implicit", "method": "mse"}}
                ]
            },
            "spec.candidates[0].calibration: TensorRT's own calibrators are entropy and minmax",
        ),
        (
            {
                "candidates": [
                    {**TRT, "precision": "int8", "calibration": {**CALIBRATION, "quantization": "implicit"}}
                    | {"typing": "strong"}
                ]
            },
            "implicit quantization is TensorRT's for int8 and weak typing",
        ),
        (
            {"candidates": [{**ORT, "precision": "fp16", "name": "Upper"}]},
            "spec.candidates[0].name: must be lower-case",
        ),
        ({"checks": [{"finite": {}, "runToRun": {}}]}, "a check has exactly one key"),
        ({"checks": [{}]}, "a check has exactly one key"),
        ({"checks": [{"finite": None}]}, "write {} for a check without parameters, for example `- finite: {}`"),
        (
            {"checks": [{"outputDrift": {"maxAbs": float("inf")}}]},
            "spec.checks[0].outputDrift.maxAbs: must be a finite",
        ),
        ({"checks": [{"outputDrift": {"cosine": float("nan")}}]}, "must be a finite number (got nan)"),
        ({"model": {"uri": "s3://m", "other": [1, float("-inf")]}}, "spec.model.other[1]: must be a finite number"),
        ({"checks": [{"finite": {}}, {"finite": {}}]}, "finite stands twice"),
        ({"dataset": {"uri": "s3://datasets/d/"}}, "labelAccuracy needs labels"),
        (
            {"dataset": {"uri": "s3://datasets/d/", "batch": "32"}},
            "spec.dataset.batch: must be a whole number",
        ),
        ({"dataset": {"uri": "s3://datasets/d/", "batch": 0}}, "greater than or equal to 1"),
        ({"storage": {"secretRef": {"name": "s"}, "serviceAccountName": "x"}}, "not both"),
        ({"storage": {"endpoint": "https://key:secret@host"}}, "spec.storage.endpoint: must be https://host or http"),
        ({"target": {"scratch": "20 GB"}}, "spec.target.scratch: must be a Kubernetes quantity"),
        ({"target": {"gpuProducts": ["L4", "L4"]}}, "duplicate 'L4' in gpuProducts"),
        ({"target": {"gpuProducts": ["not a label!"]}}, "must be the value of a node label"),
        ({"target": {"scratch": True}}, "a quantity is a whole number"),
        ({"maxParallel": 0}, "spec.maxParallel"),
    ],
)
def test_a_wrong_field_is_named_with_the_way_out(changes: dict[str, Any], sentence: str) -> None:
    data = audit()
    data["spec"] |= {name: value for name, value in changes.items() if value is not None}
    for name in [name for name, value in changes.items() if value is None]:
        del data["spec"][name]
    assert sentence in refused(data)


def test_no_pattern_and_no_password_is_shown() -> None:
    data = audit()
    data["spec"]["storage"] = {"endpoint": "https://key:secret@host"}
    assert not {"secret", "^"} & set(refused(data).replace(":", " ").replace("@", " ").split())


def test_every_pattern_of_the_schema_has_its_words() -> None:
    def patterns(schema: Any) -> set[str]:
        if isinstance(schema, list):
            return set().union(*map(patterns, schema))
        if not isinstance(schema, dict):
            return set()
        own = {schema["pattern"]} if isinstance(schema.get("pattern"), str) else set()
        return own.union(*map(patterns, schema.values()))

    assert patterns(structural(AccuracyAudit)) | patterns(structural(AccuracySweep)) == set(PATTERNS)


def test_a_null_is_an_absent_field_as_for_the_api_server() -> None:
    data = audit()
    data["metadata"]["creationTimestamp"] = None
    data["spec"]["dataset"]["samples"] = None
    assert not parse(AccuracyAudit, data).spec.dataset.has("samples")


def test_a_spec_survives_the_wire() -> None:
    once = spec()
    assert parse(AuditSpec, to_wire(once)) == once


def test_the_wire_carries_no_defaults() -> None:
    wire = to_wire(spec(golden={"precision": "fp32"}, suspend=False, maxParallel=4))
    assert not {"golden", "suspend", "maxParallel", "onBreach", "storage"} & wire.keys()
    assert wire.keys() <= SPEC.keys()
