"""A sweep in a cluster: its models found in S3, their audits made, and only what has changed audited again."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from tests.e2e.data import DIGITS, MODELS, audit
from tests.e2e.place import Manifest, Place, Room
from tests.lab import toolchain
from tests.lab.processes import run, wait_until

PREFIX = "sweep/production/"


@pytest.fixture
def models(place: Place) -> Iterator[None]:
    """Two models below a prefix, and a file that is none."""
    put(place, "cnn.onnx", (DIGITS / "digits-cnn.onnx").read_bytes())
    put(place, "vit.onnx", (DIGITS / "digits-vit.onnx").read_bytes())
    put(place, "README.md", b"no model")
    yield
    client = place.s3.client()
    for key in ("cnn.onnx", "vit.onnx", "README.md"):
        client.delete_object(Bucket=MODELS, Key=f"{PREFIX}{key}")
    client.close()


def put(place: Place, name: str, body: bytes) -> None:
    client = place.s3.client()
    client.put_object(Bucket=MODELS, Key=f"{PREFIX}{name}", Body=body)
    client.close()


def sweep(room: Room) -> Manifest:
    template = audit("x", room.place.inside, "fp16", maxParallel=4)["spec"]
    del template["model"]
    spec = {"template": template, "modelPrefix": {"uri": f"s3://{MODELS}/{PREFIX}"}}
    return {"apiVersion": "assay.dev/v1alpha1", "kind": "AccuracySweep", "metadata": {"name": "nightly"}, "spec": spec}


def read(room: Room) -> Manifest:
    found: Manifest = room.place.kubectl.json("get", "sweep", "nightly", "--namespace", room.name)
    return found


def audits(room: Room) -> set[str]:
    listed = room.kubectl("get", "audits", "-l", "assay.dev/sweep=nightly", "-o", "name")
    return set(listed.split())


def run_ended(room: Room, count: int) -> Manifest:
    """The status once so many runs have ended."""
    wait_until(lambda: len(read(room)["status"].get("history", ())) == count, f"{count} runs to end", 300)
    status: Manifest = read(room)["status"]
    return status


def test_a_sweep_audits_what_it_finds_and_later_only_what_has_changed(room: Room, models: None) -> None:
    room.apply(sweep(room))
    room.kubectl("wait", "--for=condition=Complete", "--timeout=300s", "sweep/nightly")
    status = run_ended(room, 1)
    assert (status["verdict"], status["phase"], status["models"]) == ("Passed", "Complete", 2)
    assert status["counts"] == {"cells": 2, "passed": 2}
    first = audits(room)
    assert len(first) == 2
    # vit becomes a model that FP16 breaks.
    put(room.place, "vit.onnx", (DIGITS / "digits-cnn-overflow.onnx").read_bytes())
    room.kubectl("annotate", "sweep", "nightly", "assay.dev/rerun-failed=1")
    status = run_ended(room, 2)
    assert status["counts"] == {"cells": 2, "passed": 1, "failed": 1, "unchanged": 1, "regressed": 1}
    (worst,) = status["worst"]
    assert (worst["model"], worst["candidate"], worst["regressed"]) == ("vit", "fp16", True)
    (fresh,) = audits(room) - first
    assert fresh.endswith(worst["audit"])
    # Deleting the sweep takes its audits and their Jobs along.
    room.kubectl("delete", "sweep", "nightly")
    wait_until(lambda: not audits(room) and not room.objects("jobs"), "everything of it to go", 120)


def spoilt(model: bytes) -> bytes:
    """A model with other weights, which names fewer digits rightly."""
    proto = onnx.load_from_string(model)
    noise = np.random.default_rng(3)
    for weight in proto.graph.initializer:
        found = numpy_helper.to_array(weight)
        if found.dtype == np.float32 and found.ndim > 1:
            other = found + noise.standard_normal(found.shape).astype(np.float32) * found.std() * np.float32(0.2)
            weight.CopyFrom(numpy_helper.from_array(other, weight.name))
    changed: bytes = proto.SerializeToString()
    return changed


def baseline(room: Room, *words: str) -> str:
    """`assay baseline` as a user types it, with no credentials for S3; what it prints."""
    path = f"{toolchain.kubectl().parent}:{os.environ['PATH']}"
    env = {key: value for key, value in os.environ.items() if not key.startswith("AWS_")}
    env |= {"PATH": path, "KUBECONFIG": str(room.place.kubeconfig), "COLUMNS": "200"}
    return run(
        [sys.executable, "-m", "assay_runner", "baseline", *words, "--sweep", "nightly", "-n", room.name], env=env
    )


def test_what_was_accepted_stands_and_what_is_worse_is_told_and_accepted_by_its_cause(room: Room, models: None) -> None:
    manifest = sweep(room)
    (fp16,) = manifest["spec"]["template"]["candidates"]
    manifest["spec"]["template"]["candidates"] = [{**fp16, "name": "fp32", "precision": "fp32"}]
    room.apply(manifest)
    assert run_ended(room, 1)["baselines"] == {"new": 2}
    assert ": 2 accepted by " in baseline(room, "accept", "--why", "release 7")
    assert read(room)["status"]["baselines"] == {"unchanged": 2}
    put(room.place, "vit.onnx", spoilt((DIGITS / "digits-vit.onnx").read_bytes()))
    room.kubectl("annotate", "sweep", "nightly", "assay.dev/rerun-failed=1")
    status = run_ended(room, 2)
    # It computes what its model computes, and names fewer digits than what was accepted.
    assert status["counts"] == {"cells": 2, "passed": 2, "unchanged": 1, "regressed": 1}
    assert status["baselines"] == {"unchanged": 1, "regressed": 1}
    (worst,) = status["worst"]
    assert (worst["model"], worst["verdict"], worst["baseline"], worst["cause"]) == (
        "vit", "Passed", "Regressed", "another model",
    )  # fmt: skip
    assert "Regressed" in room.kubectl("get", "audit", worst["audit"])
    assert ": 1 accepted by " in baseline(room, "accept", "--cause", "another model", "--why", "trained anew")
    status = read(room)["status"]
    assert (status["baselines"], status.get("worst", [])) == ({"unchanged": 2}, [])
    assert "trained anew" in str(room.audit(worst["audit"])["status"]["candidates"][0]["baseline"]["accepted"])
