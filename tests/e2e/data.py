"""What the audits of the end-to-end tests read: the shipped digits models and data in S3, whole and spoilt."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import onnx
from onnx import helper

from tests.e2e.place import ROOT, Manifest
from tests.lab.s3 import S3Access

DIGITS = ROOT / "examples" / "digits"
MODELS, DATASETS, AUDITS = "e2e-models", "e2e-datasets", "e2e-audits"
# The shards again and again: a task on them runs long enough to be killed in the middle.
LONG = 6

CHECKS: list[dict[str, Any]] = [
    {"finite": {}},
    {"outputDrift": {"cosine": 0.95}},
    {"labelAccuracy": {"metric": "top1", "keep": 0.98}},
]


def upload(s3: S3Access) -> None:
    """Put the models, the data and their spoilt twins where the audits look for them."""
    for bucket in (MODELS, DATASETS, AUDITS):
        s3.bucket(bucket)
    client = s3.client()

    def put(bucket: str, key: str, body: bytes) -> None:
        client.put_object(Bucket=bucket, Key=key, Body=body)

    for model in DIGITS.glob("*.onnx"):
        put(MODELS, model.name, model.read_bytes())
    put(MODELS, "scan.onnx", old_scan().SerializeToString())
    put(MODELS, "truncated.onnx", (DIGITS / "digits-cnn.onnx").read_bytes()[:40_000])
    shards = sorted((DIGITS / "data").glob("*.npz"))
    for shard in shards:
        put(DATASETS, f"digits/{shard.name}", shard.read_bytes())
        for again in range(LONG):
            put(DATASETS, f"long/{again:02}-{shard.name}", shard.read_bytes())
    for shard in (DIGITS / "calib").glob("*.npz"):
        put(DATASETS, f"calib/{shard.name}", shard.read_bytes())
    put(DATASETS, "nan.npz", with_nan(shards[0].read_bytes()))
    client.close()


def old_scan() -> onnx.ModelProto:
    """A running sum by opset 8's Scan, whose samples newer ones do not have: ONNX upgrades it to what nobody runs."""
    body = helper.make_graph(
        [helper.make_node("Add", ["sum", "row"], ["next"]), helper.make_node("Identity", ["next"], ["out"])],
        "body",
        [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [8]) for name in ("sum", "row")],
        [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [8]) for name in ("next", "out")],
    )
    nodes = [
        helper.make_node("Squeeze", ["image"], ["rows"], name="rows", axes=[1]),
        helper.make_node("ReduceSum", ["rows"], ["start"], name="start", axes=[1], keepdims=0),
        helper.make_node("Scan", ["", "start", "rows"], ["last", "sums"], name="scan", num_scan_inputs=1, body=body),
    ]
    given = helper.make_tensor_value_info("image", onnx.TensorProto.FLOAT, ["N", 1, 8, 8])
    made = helper.make_tensor_value_info("sums", onnx.TensorProto.FLOAT, ["N", 8, 8])
    graph = helper.make_graph(nodes, "scan", [given], [made])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 8)], ir_version=4)


def with_nan(shard: bytes) -> bytes:
    """The shard with one value of one sample that is not a number."""
    arrays: dict[str, Any] = dict(np.load(io.BytesIO(shard)))
    arrays["image"][7, 0, 3, 3] = np.nan
    out = io.BytesIO()
    np.savez(out, **arrays)
    return out.getvalue()


def candidate(precision: str, **more: Any) -> Manifest:
    """A candidate emulated on CPU, named by its precision."""
    if precision == "int8":
        more.setdefault("calibration", {"uri": f"s3://{DATASETS}/calib/"})
    return {"name": precision, "backend": "onnxruntime", "precision": precision, **more}


def audit(name: str, s3: S3Access, *precisions: str, **spec: Any) -> Manifest:
    """An audit of the digits CNN.

    Args:
        name: its name.
        s3: the S3 server as pods reach it.
        precisions: one emulated candidate each.
        spec: fields in place of the usual ones.
    """
    usual = {
        "model": {"uri": f"s3://{MODELS}/digits-cnn.onnx"},
        "dataset": {"uri": f"s3://{DATASETS}/digits/", "labels": "label", "batch": 64},
        "candidates": [candidate(precision) for precision in precisions or ("fp16",)],
        "checks": CHECKS,
        "target": {"resources": {"memory": "1Gi"}, "scratch": "1Gi"},
        "storage": {"secretRef": {"name": "assay-s3"}, "endpoint": s3.endpoint, "region": s3.region},
        "artifacts": {"uri": f"s3://{AUDITS}/"},
    }
    meta = {"name": name}
    return {"apiVersion": "assay.dev/v1alpha1", "kind": "AccuracyAudit", "metadata": meta, "spec": usual | spec}
