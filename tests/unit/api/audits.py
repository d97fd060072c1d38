"""One valid audit, and how to change it."""

from __future__ import annotations

import copy
from typing import Any

from assay_api.audit import AuditSpec
from assay_api.model import parse

SPEC: dict[str, Any] = {
    "model": {"uri": "s3://models/digits-vit.onnx"},
    "dataset": {"uri": "s3://datasets/digits/", "labels": "label", "batch": 64},
    "golden": {"precision": "fp64"},
    "candidates": [
        {"name": "fp16", "backend": "tensorrt", "precision": "fp16", "typing": "weak"},
        {
            "name": "int8-ptq",
            "backend": "onnxruntime",
            "precision": "int8",
            "calibration": {"uri": "s3://datasets/calib/", "method": "minmax", "samples": 256},
        },
        {"name": "qat", "backend": "tensorrt", "precision": "int8", "model": {"uri": "s3://models/qat.onnx"}},
    ],
    "checks": [{"finite": {}}, {"outputDrift": {"cosine": 0.999, "maxAbs": 1}}, {"labelAccuracy": {"keep": 0.99}}],
    "target": {"gpuProducts": ["NVIDIA-H200", "NVIDIA-L4"], "resources": {"nvidia.com/gpu": 1, "memory": "8Gi"}},
    "artifacts": {"uri": "s3://audits/"},
}


def audit(**changes: Any) -> dict[str, Any]:
    """A whole valid audit; `changes` replace fields of its spec, None removes one."""
    spec = copy.deepcopy(SPEC)
    for name, value in changes.items():
        if value is None:
            spec.pop(name)
        else:
            spec[name] = value
    return {
        "apiVersion": "assay.dev/v1alpha1",
        "kind": "AccuracyAudit",
        "metadata": {"name": "digits", "namespace": "default"},
        "spec": spec,
    }


def spec(**changes: Any) -> AuditSpec:
    """The parsed spec of `audit`."""
    return parse(AuditSpec, audit(**changes)["spec"])
