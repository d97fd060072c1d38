"""A sweep in a cluster: its models found in S3, their audits made, and only what has changed audited again."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from tests.e2e.data import DIGITS, MODELS, audit
from tests.e2e.place import Manifest, Place, Room
from tests.lab import toolchain
from tests.lab.processes import wait_until

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
    template = audit("x", room.place.inside, "fp16", "fp32", maxParallel=4)["spec"]
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


def baseline(room: Room, *words: str) -> subprocess.CompletedProcess[str]:
    """`assay baseline` as a user types it, with no credentials for S3."""
    path = f"{toolchain.kubectl().parent}:{os.environ['PATH']}"
    env = {key: value for key, value in os.environ.items() if not key.startswith("AWS_")}
    env |= {**room.place.kubectl.env, "PATH": path, "COLUMNS": "200"}
    whole = [sys.executable, "-m", "assay_runner", "baseline", *words, "--sweep", "nightly", "-n", room.name]
    return subprocess.run(whole, env=env, capture_output=True, text=True, timeout=330, check=False)


def test_a_sweep_audits_what_it_finds_and_later_only_what_has_changed(room: Room, models: None) -> None:
    room.apply(sweep(room))
    room.kubectl("wait", "--for=condition=Complete", "--timeout=300s", "sweep/nightly")
    status = run_ended(room, 1)
    assert (status["verdict"], status["phase"], status["models"]) == ("Passed", "Complete", 2)
    assert (status["counts"], status["baselines"]) == ({"cells": 4, "passed": 4}, {"new": 4})
    first = audits(room)
    assert len(first) == 2
    told = baseline(room, "accept", "--candidate", "fp32", "--why", "release 7")
    assert (told.returncode, ": 2 accepted by " in told.stdout) == (0, True), told.stderr
    assert read(room)["status"]["baselines"] == {"new": 2, "unchanged": 2}
    told = baseline(room, "accept", "--cell", "cnn/fp16", "--why", "release 7")
    assert (told.returncode, "it is emulated" in told.stdout) == (64, True), told.stderr
    # vit becomes a model that FP16 breaks, and that names fewer digits than what was accepted.
    put(room.place, "vit.onnx", spoilt((DIGITS / "digits-cnn-overflow.onnx").read_bytes()))
    room.kubectl("annotate", "sweep", "nightly", "assay.dev/rerun-failed=1")
    status = run_ended(room, 2)
    assert status["counts"] == {"cells": 4, "passed": 3, "failed": 1, "unchanged": 2, "regressed": 2}
    assert status["baselines"] == {"new": 2, "unchanged": 1, "regressed": 1}
    worst = {each["candidate"]: each for each in status["worst"]}
    assert {each["model"] for each in worst.values()} == {"vit"}
    assert (worst["fp16"]["verdict"], worst["fp16"]["regressed"]) == ("Failed", True)
    assert (worst["fp32"]["verdict"], worst["fp32"]["baseline"]) == ("Passed", "Regressed")
    assert worst["fp32"]["cause"] == "another model"
    (fresh,) = audits(room) - first
    assert fresh.endswith(worst["fp16"]["audit"])
    told = baseline(room, "accept", "--cause", "another model", "--why", "trained anew")
    assert (told.returncode, ": 1 accepted by " in told.stdout) == (0, True), told.stderr
    status = read(room)["status"]
    assert (status["baselines"], status["counts"]["regressed"]) == ({"new": 2, "unchanged": 2}, 1)
    # Deleting the sweep takes its audits and their Jobs along.
    room.kubectl("delete", "sweep", "nightly")
    wait_until(lambda: not audits(room) and not room.objects("jobs"), "everything of it to go", 120)
