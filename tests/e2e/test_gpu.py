"""Audits that need a GPU where there is none, and where there seems to be one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.data import audit
from tests.e2e.holder import HOLDER, hold_gpu
from tests.e2e.place import OWN, Manifest, Place, Room, condition
from tests.lab import Unavailable
from tests.lab.processes import wait_until

PRODUCT = "NVIDIA-H200"
CANDIDATES = [{"name": "fp16", "backend": "tensorrt", "precision": "fp16"}]


def on_gpu(room: Room, name: str, pending: int) -> Manifest:
    """An audit that asks for one GPU of a product."""
    target = {"gpuProducts": [PRODUCT], "resources": {"memory": "1Gi", "nvidia.com/gpu": 1}, "scratch": "1Gi"}
    more = {"candidates": CANDIDATES, "target": target, "pendingDeadlineSeconds": pending, "backoffLimit": 2}
    return audit(name, room.place.inside, **more)


@pytest.fixture
def gpu(place: Place) -> Iterator[None]:
    """One GPU on the node, as far as the scheduler can see."""
    if place.lab is None:
        raise Unavailable(f"a GPU can be made up in the lab's own cluster only: unset {OWN}")
    place.lab.advertise_gpu(1, PRODUCT)
    yield
    place.lab.advertise_gpu(0, PRODUCT)


def test_a_gpu_that_nobody_has_is_said_at_once_and_stalls_in_time(room: Room) -> None:
    room.apply(on_gpu(room, "nobody", 12))

    def said() -> bool:
        return condition(room.audit("nobody"), "Ready").get("reason") == "Unschedulable"

    wait_until(said, "Unschedulable in the status", every=0.3)
    waiting = room.audit("nobody")
    assert condition(waiting, "Reconciling")["status"] == "True"
    assert condition(waiting, "Stalled")["status"] == "False"
    for word in ("no node", "nvidia.com/gpu", PRODUCT):
        assert word in waiting["status"]["candidates"][0]["message"]
    found = room.wait("nobody", "Stalled", 60)
    assert condition(found, "Stalled")["reason"] == "Unschedulable"
    assert "pendingDeadlineSeconds" in condition(found, "Stalled")["message"]
    assert condition(found, "Passed")["status"] == "Unknown"


@pytest.mark.usefixtures("gpu")
def test_a_gpu_that_others_hold_is_waited_for_and_told_as_such(room: Room) -> None:
    hold_gpu(room)
    room.apply(on_gpu(room, "waits", 300))

    def message() -> str:
        return str(condition(room.audit("waits"), "Ready").get("message"))

    wait_until(lambda: "waits for room: the nodes with NVIDIA-H200 would do" in message(), "that it waits", 120)
    assert condition(room.audit("waits"), "Ready")["reason"] == "Pending"
    assert "Insufficient nvidia.com/gpu" in message()
    room.kubectl("delete", "pod", HOLDER, "--wait=false")
    found = room.wait("waits", "Stalled", 120)
    assert condition(found, "Complete")["reason"] == "Inconclusive"


@pytest.mark.usefixtures("gpu")
def test_a_gpu_without_tensorrt_is_not_a_pass(room: Room) -> None:
    room.apply(on_gpu(room, "bare", 120))
    found = room.wait("bare", "Stalled", 120)
    # One Pod: a retry would hold a GPU only to say the same.
    (pod,) = room.objects("pods", "assay.dev/kind=candidate")
    assert pod["spec"]["nodeSelector"] == {"nvidia.com/gpu.product": PRODUCT}
    assert pod["spec"]["containers"][0]["resources"]["limits"]["nvidia.com/gpu"] == "1"
    sentence = "backend tensorrt needs an NVIDIA GPU and its driver, and finds neither"
    assert condition(found, "Complete")["reason"] == "Inconclusive"
    assert condition(found, "Stalled")["reason"] == "Inconclusive"
    assert sentence in condition(found, "Stalled")["message"]
    assert condition(found, "Passed")["status"] == "Unknown"
    assert found["status"]["verdict"] == "Inconclusive"
    (candidate,) = found["status"]["candidates"]
    assert (candidate["state"], candidate["verdict"]) == ("Finished", "Inconclusive")
    assert sentence in candidate["message"]
    assert "retries" not in candidate
    assert found["status"]["report"]["uri"].endswith("/report.json")
