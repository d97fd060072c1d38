"""A Pod of somebody else's that holds one GPU of the node."""

from __future__ import annotations

from typing import Final

from tests.e2e.place import Room
from tests.lab.images import OURS

HOLDER: Final = "holder"
LABEL: Final = "x=y"


def hold_gpu(room: Room) -> None:
    """Have one GPU held, until the Pod is deleted."""
    image = next(tag for tag in OURS if "runner" in tag)
    container = {
        "name": "x",
        "image": image,
        "command": ["sleep", "600"],
        "resources": {"limits": {"nvidia.com/gpu": 1}},
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }
    spec = {
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": 0,
        "securityContext": {"runAsNonRoot": True, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [container],
    }
    key, _, value = LABEL.partition("=")
    metadata = {"name": HOLDER, "labels": {key: value}}
    room.apply({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})
    room.running_pod(LABEL)
