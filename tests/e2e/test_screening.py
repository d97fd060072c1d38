"""A screening in a real cluster: its scheduler, Job controller and kubelet have Pods wait for GPUs, and end them."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.e2e.data import AUDITS, MODELS
from tests.e2e.holder import HOLDER, LABEL, hold_gpu
from tests.e2e.place import OWN, Manifest, Place, Room, condition
from tests.lab import Unavailable
from tests.lab.processes import wait_until

PRODUCT = "NVIDIA-L4"


@pytest.fixture(scope="module", autouse=True)
def gpus(place: Place) -> Iterator[None]:
    """Three GPUs on the node, as far as scheduler and kubelet can see."""
    if place.lab is None:
        raise Unavailable(f"GPUs can be made up in the lab's own cluster only: unset {OWN}")
    place.lab.advertise_gpu(3, PRODUCT)
    yield
    place.lab.advertise_gpu(0, PRODUCT)


def screening(room: Room, name: str, **spec: object) -> Manifest:
    target, s3 = {"gpuProducts": [PRODUCT], "resources": {"memory": "1Gi"}, "scratch": "1Gi"}, room.place.inside
    whole = {
        "plan": {"uri": f"s3://{MODELS}/digits-cnn.onnx"},
        "artifacts": {"uri": f"s3://{AUDITS}/"},
        "storage": {"secretRef": {"name": "assay-s3"}, "endpoint": s3.endpoint, "region": s3.region},
        "target": target, "runs": 200, "heatSeconds": 0, "inputs": 2, **spec,
    }  # fmt: skip
    return {"apiVersion": "assay.dev/v1alpha1", "kind": "GpuScreening", "metadata": {"name": name}, "spec": whole}


def ended(room: Room, name: str, seconds: int = 120) -> Manifest:
    words = ("wait", "--for=condition=Complete", f"--timeout={seconds}s", f"screening/{name}")
    room.place.kubectl(*words, "--namespace", room.name, seconds=seconds + 30)
    found: Manifest = json.loads(room.kubectl("get", "screening", name, "-o", "json"))
    return found


def test_all_gpus_of_the_node_are_screened_once_they_are_free(room: Room) -> None:
    hold_gpu(room)
    # One of three is taken: the node is waited for, and in the end skipped. The holder stays where it is.
    room.apply(screening(room, "busy", pendingDeadlineSeconds=10))
    found = ended(room, "busy")
    said = condition(found, "Complete")["message"]
    assert (
        "not begun within 10 s (spec.pendingDeadlineSeconds): all of its 3 GPUs were free together at no time" in said
    )
    assert found["status"]["verdict"] == "Inconclusive"
    assert room.running_pod(LABEL) == HOLDER
    room.apply(screening(room, "waits"))

    def waits() -> bool:
        told = json.loads(room.kubectl("get", "screening", "waits", "-o", "json"))
        return "waits until all of its 3 GPUs are free" in condition(told, "Ready").get("message", "")

    wait_until(waits, "that it waits")
    room.kubectl("delete", "pod", HOLDER, "--wait=false")
    found = ended(room, "waits")
    assert (found["status"]["verdict"], found["status"]["gpus"]["scanned"]) == ("Passed", 3)
    assert found["status"]["report"]["record"].endswith("/answers.json")
