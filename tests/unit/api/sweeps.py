"""One valid sweep, and how to change it; models as a Job finds them."""

from __future__ import annotations

import copy
from typing import Any

from assay_api.model import parse
from assay_api.resolved import ModelFound
from assay_api.sweep import SweepSpec
from tests.unit.api.audits import SPEC as AUDIT

TEMPLATE: dict[str, Any] = {
    "dataset": {"uri": "s3://datasets/{model}/", "labels": "label"},
    "candidates": [
        {"name": "fp16", "backend": "tensorrt", "precision": "fp16"},
        {
            "name": "int8",
            "backend": "tensorrt",
            "precision": "int8",
            "calibration": {"uri": "s3://datasets/{model}/calibration/"},
        },
        {"name": "cpu", "backend": "onnxruntime", "precision": "fp16"},
    ],
    "checks": AUDIT["checks"],
    "target": {"gpuProducts": ["NVIDIA-H200", "NVIDIA-L4"]},
    "artifacts": {"uri": "s3://audits/"},
}
SPEC: dict[str, Any] = {
    "template": TEMPLATE,
    "models": [{"name": "bert", "uri": "s3://models/bert.onnx"}, {"name": "vit", "uri": "s3://models/vit.onnx"}],
}


def sweep(**changes: Any) -> dict[str, Any]:
    """A whole valid sweep; `changes` replace fields of its spec, `template__x` of its template; None removes one."""
    spec = copy.deepcopy(SPEC)
    for name, value in changes.items():
        inner, _, field = name.rpartition("__")
        place = spec["template"] if inner else spec
        if value is None:
            place.pop(field)
        else:
            place[field] = value
    meta = {"name": "nightly", "namespace": "default"}
    return {"apiVersion": "assay.dev/v1alpha1", "kind": "AccuracySweep", "metadata": meta, "spec": spec}


def spec(**changes: Any) -> SweepSpec:
    """The parsed spec of `sweep`."""
    return parse(SweepSpec, sweep(**changes)["spec"])


def found(name: str, inputs: str = "0" * 16, own: str = "1" * 16) -> ModelFound:
    """A model as a Job tells of it, for a template with one candidate that has files of its own."""
    return ModelFound(name=name, uri=f"s3://models/{name}.onnx", inputs=inputs, own=(own,))
