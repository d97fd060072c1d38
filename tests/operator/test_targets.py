"""Targets on a real API server: products that nodes and ResourceSlices show, and those that nobody has."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.apiserver import ApiServer
from tests.operator.lab import Namespace, Operator, Raw, running
from tests.operator.sweeps import apply, status

PRODUCT = "nvidia.com/gpu.product"
SOON = 60.0
"""Seconds within which a target that nobody can schedule says so."""


@pytest.fixture(scope="module")
def cluster(bare_api: ApiServer) -> Iterator[ApiServer]:
    """One node as the device plugin shows its GPUs, one as NVIDIA's DRA driver does."""
    show(bare_api, "plugin", {PRODUCT: "NVIDIA-H200"}, {"nvidia.com/gpu": "8"})
    show(bare_api, "claims", {}, {})
    devices = [
        {
            "name": f"gpu-{index}",
            "attributes": {
                "type": {"string": "gpu"},
                "productName": {"string": "NVIDIA L4"},
                "driverVersion": {"version": "580.65.6"},
            },
            "capacity": {"memory": {"value": "23034Mi"}},
        }
        for index in range(4)
    ]
    pool = {"name": "claims", "generation": 1, "resourceSliceCount": 1}
    spec = {"driver": "gpu.nvidia.com", "nodeName": "claims", "pool": pool, "devices": devices}
    slices: Raw = {
        "apiVersion": "resource.k8s.io/v1",
        "kind": "ResourceSlice",
        "metadata": {"name": "claims"},
        "spec": spec,
    }
    bare_api.kubectl.apply(slices)
    yield bare_api
    bare_api.kubectl("delete", "resourceslice", "claims")
    bare_api.kubectl("delete", "node", "plugin", "claims")


@pytest.fixture
def fresh(cluster: ApiServer, namespace: Namespace, folder: Path) -> Iterator[Operator]:
    """An operator that has not asked for nodes before."""
    with running(cluster, folder) as operator:
        yield operator


def show(api: ApiServer, name: str, labels: dict[str, str], gpus: dict[str, str]) -> None:
    api.kubectl.apply({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels}})
    there = {"cpu": "64", "memory": "1Ti", **gpus}
    api.kubectl("patch", "node", name, "--subresource=status", "--type=merge", "-p", patch(there))


def patch(there: dict[str, str]) -> str:
    return json.dumps({"status": {"capacity": there, "allocatable": there}})


def test_a_target_that_nobody_has_says_so_long_before_its_turn(
    fresh: Operator, namespace: Namespace, cluster: ApiServer
) -> None:
    engine = {"name": "fp16", "backend": "tensorrt", "precision": "fp16", "typing": "weak"}
    target = {"gpuProducts": ["NVIDIA-H200", "NVIDIA-L4", "NVIDIA-B200"]}
    began = time.monotonic()
    namespace.apply_audit("fleet", candidates=[engine], target=target)

    def entries() -> dict[str, str]:
        told = namespace.audit("fleet").get("status", {}).get("candidates", [])
        return {entry["name"]: entry.get("message", "") for entry in told}

    namespace.until(lambda: "no node has" in entries().get("fp16@NVIDIA-B200", ""), "the words")
    assert time.monotonic() - began < SOON
    told = entries()
    assert told["fp16@NVIDIA-B200"] == (
        "Unschedulable: wants 1 x nvidia.com/gpu with nvidia.com/gpu.product=NVIDIA-B200: fits none of the nodes there "
        "are: no node has nvidia.com/gpu.product=NVIDIA-B200; there is NVIDIA-H200, NVIDIA-L4"
    )
    # What a node has is not told of before it is asked for, and what is given out by claims is no "never".
    assert told["fp16@NVIDIA-H200"] == ""
    assert "kubectl label node claims nvidia.com/gpu.product=NVIDIA-L4" in told["fp16@NVIDIA-L4"]
    assert "fits none" not in told["fp16@NVIDIA-L4"]
    assert namespace.condition("fleet", "Ready")["reason"] == "Unschedulable"
    # Golden outputs are made meanwhile.
    assert set(namespace.jobs()) == {"golden"}


def test_a_fleet_is_what_labels_and_resource_slices_show(fresh: Operator, namespace: Namespace) -> None:
    apply(namespace, "fleet", fleet=True, template__target=None)
    namespace.until(lambda: bool(status(namespace, "fleet").get("targets")), "the targets")
    assert status(namespace, "fleet")["targets"] == [
        {"gpuProduct": "NVIDIA-H200", "nodes": 1},
        {
            "gpuProduct": "NVIDIA-L4", "nodes": 1, "driver": "580.65.6", "memoryMiB": 23034, "source": "ResourceSlices",
        },
    ]  # fmt: skip


def test_a_sweep_names_the_products_that_no_node_has(fresh: Operator, namespace: Namespace) -> None:
    apply(namespace, "named", template__target={"gpuProducts": ["NVIDIA-H200", "NVIDIA-B200"]})
    words = "No node has NVIDIA-B200: audits on it wait."

    def ready() -> str:
        conditions = status(namespace, "named").get("conditions", [])
        return "".join(each["message"] for each in conditions if each["type"] == "Ready")

    namespace.until(lambda: words in ready(), "the words")
