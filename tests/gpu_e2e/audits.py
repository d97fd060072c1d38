"""The audits that are run on the node: the shipped ones, with their files in S3 and a product of GPU as target."""

from __future__ import annotations

from typing import Any

import yaml

from tests.e2e.data import AUDITS, DATASETS, DIGITS, MODELS
from tests.e2e.place import Manifest
from tests.lab.gpus import Gpus
from tests.lab.s3 import S3Access

__all__ = ["engines", "existing", "on_node", "repair"]

PLACES = {"file://./data/": f"s3://{DATASETS}/digits/", "file://./calib/": f"s3://{DATASETS}/calib/"}
# No limit of processors: a build that is throttled takes longer than one at a desk.
RESOURCES = {"memory": "12Gi"}
# What stands in for a GPU is refused by every candidate alike: two say as much as seven.
FEW = 2
# A plan shows its inputs and outputs: what asks for its other tensors (finite, layerDrift) would be Inconclusive.
OF_A_PLAN: tuple[Manifest, ...] = (
    {"outputDrift": {"cosine": 0.9}},
    {"labelAccuracy": {"metric": "top1", "keep": 0.98}},
    {"latency": {}},
)


def in_s3(value: Any) -> Any:
    """The same with every file of the examples where `tests.e2e.data.upload` puts it."""
    if isinstance(value, dict):
        return {key: in_s3(each) for key, each in value.items()}
    if isinstance(value, list):
        return [in_s3(each) for each in value]
    if isinstance(value, str) and value.startswith("file://./"):
        return PLACES.get(value, f"s3://{MODELS}/{value.rpartition('/')[2]}")
    return value


def shipped(file: str) -> Manifest:
    """The spec of an example, with its files in S3."""
    spec: Manifest = in_s3(yaml.safe_load((DIGITS / file).read_text())["spec"])
    return spec


def on_node(name: str, s3: S3Access, gpus: Gpus, spec: Manifest, store: str = "") -> Manifest:
    """An audit of a spec on these GPUs.

    Args:
        name: its name.
        s3: the S3 server as pods reach it.
        gpus: whose product it asks for.
        spec: models, data, candidates and checks.
        store: folder of its artifacts; equal ones share what was built.
    """
    resources = RESOURCES if gpus.real else {"memory": "1Gi"}
    more = {
        "target": {"gpuProducts": [gpus.label], "resources": {**resources, "nvidia.com/gpu": 1}, "scratch": "8Gi"},
        "storage": {"secretRef": {"name": "assay-s3"}, "endpoint": s3.endpoint, "region": s3.region},
        "artifacts": {"uri": f"s3://{AUDITS}/{store or name}/"},
    }
    return {
        "apiVersion": "assay.dev/v1alpha1",
        "kind": "AccuracyAudit",
        "metadata": {"name": name},
        "spec": spec | more,
    }


def engines(name: str, s3: S3Access, gpus: Gpus, store: str = "", **more: Any) -> Manifest:
    """`examples/digits/engines.yaml`; on stand-ins the first few of its candidates."""
    spec = shipped("engines.yaml")
    spec["candidates"] = spec["candidates"] if gpus.real else spec["candidates"][:FEW]
    return on_node(name, s3, gpus, spec | more, store)


def repair(name: str, s3: S3Access, gpus: Gpus) -> Manifest:
    """`examples/digits/repair.yaml`, its engines built quickly."""
    spec = shipped("repair.yaml")
    for candidate in spec["candidates"]:
        candidate["build"] = {"optimizationLevel": 1}
    return on_node(name, s3, gpus, spec)


def existing(name: str, s3: S3Access, gpus: Gpus, uri: str) -> Manifest:
    """A plan at `uri`, as it is, held against the golden outputs of the digits."""
    spec = shipped("engines.yaml")
    spec["candidates"] = [{"name": "served", "backend": "tensorrt", "engine": {"uri": uri}}]
    spec["checks"] = list(OF_A_PLAN)
    return on_node(name, s3, gpus, spec)
