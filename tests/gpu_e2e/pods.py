"""Pods of our own on the node: a script in the runner's image, with so many GPUs, and what it printed."""

from __future__ import annotations

from collections.abc import Mapping

from tests.e2e.place import Manifest, Place, Room
from tests.lab.processes import wait_until

__all__ = ["bounds", "runner_image", "said"]

SCRIPT = "/script"


def bounds() -> Manifest:
    """What a namespace under the `restricted` standard asks of a pod."""
    user = {"runAsNonRoot": True, "runAsUser": 65532, "runAsGroup": 65532, "fsGroup": 65532}
    return {**user, "seccompProfile": {"type": "RuntimeDefault"}}


def runner_image(place: Place) -> str:
    """The image that task pods run, by the chart's values."""
    named = place.image_values.get("runner.image.repository", "localhost/assay-runner")
    return f"{named}:{place.image_values.get('runner.image.tag', '0.1.0')}"


def pod(name: str, image: str, command: list[str], gpus: int, environment: Mapping[str, str]) -> Manifest:
    """A pod that runs a command once, beside the files of the ConfigMap of its name."""
    container = {
        "name": "main",
        "image": image,
        "command": command,
        "env": [{"name": key, "value": value} for key, value in environment.items()],
        "envFrom": [{"secretRef": {"name": "assay-s3"}}],
        "resources": {"limits": {"nvidia.com/gpu": str(gpus)}} if gpus else {},
        "volumeMounts": [{"name": "script", "mountPath": SCRIPT}, {"name": "scratch", "mountPath": "/scratch"}],
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }
    volumes = [{"name": "script", "configMap": {"name": name}}, {"name": "scratch", "emptyDir": {}}]
    spec = {"restartPolicy": "Never", "containers": [container], "volumes": volumes, "securityContext": bounds()}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}


def start(room: Room, name: str, files: Mapping[str, str], command: list[str], gpus: int) -> None:
    """Make a pod of ours and the files that it reads."""
    config = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": dict(files)}
    keys = {key: room.place.inside.env[key] for key in ("AWS_ENDPOINT_URL_S3", "AWS_REGION")}
    room.apply(config, pod(name, runner_image(room.place), command, gpus, keys))


def ended(room: Room, name: str, seconds: float) -> Manifest:
    """How its container ended, once it has."""
    states: list[Manifest] = []

    def over() -> bool:
        (found,) = room.objects("pods", field=f"metadata.name={name}")
        told = [each["state"].get("terminated") for each in found["status"].get("containerStatuses", ())]
        states[:] = [state for state in told if state]
        return bool(states)

    wait_until(over, f"pod {name} ended", seconds, every=0.3)
    return states[0]


def said(room: Room, name: str, script: str, gpus: int, seconds: float = 90, **files: str) -> str:
    """What a Python script prints in a pod with so many GPUs; the test fails where the script does."""
    start(room, name, {"main.py": script, **files}, ["python3", f"{SCRIPT}/main.py"], gpus)
    end = ended(room, name, seconds)
    log = room.kubectl("logs", name)
    assert end["exitCode"] == 0, log
    return log
