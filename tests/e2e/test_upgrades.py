"""An upgrade gate in a cluster: two runner images that round otherwise, a model that one of them breaks.

It builds an image and takes minutes: `make test-upgrade` has it run.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.data import MODELS, audit
from tests.e2e.place import Manifest, Room
from tests.lab import images, toolchain
from tests.lab.processes import wait_until

pytestmark = pytest.mark.skipif(not os.environ.get("ASSAY_SOAK"), reason="takes minutes: make test-upgrade")
_, RUNNER = images.OURS
OTHER = "localhost/assay-runner:0.1.0-wide"
# What the shipped image calls fp16 has eight bits of mantissa and FP32's range there: nothing overflows.
DOCKERFILE = """ARG BASE_IMAGE
FROM ${BASE_IMAGE}
USER 0
RUN sed -i 's/"fp16": TensorProto.FLOAT16/"fp16": TensorProto.BFLOAT16/' \
    /opt/assay/lib/python3*/site-packages/assay_runner/graphs/rounding.py
USER 65532:65532
"""


@pytest.fixture
def other(room: Room, tmp_path: Path) -> str:
    """A runner image with another arithmetic, made known to the cluster."""
    if room.place.lab is None:
        pytest.skip("a second runner image is made for the lab's own cluster alone")
    (tmp_path / "Dockerfile").write_text(DOCKERFILE)
    built = images.build(tmp_path / "Dockerfile", OTHER, {"BASE_IMAGE": RUNNER}, tmp_path)
    room.place.lab.load_image(built)
    return OTHER


def gate(room: Room, *words: str) -> subprocess.CompletedProcess[str]:
    """`assay gate` as CI asks it."""
    path = f"{toolchain.kubectl().parent}:{os.environ['PATH']}"
    env = {**os.environ, **room.place.kubectl.env, "PATH": path, "COLUMNS": "240"}
    whole = [sys.executable, "-m", "assay_runner", "gate", "up", "-n", room.name, *words]
    return subprocess.run(whole, env=env, capture_output=True, text=True, timeout=330, check=False)


def test_what_the_new_image_breaks_is_no_go_and_the_rest_may_go_ahead(room: Room, other: str) -> None:
    template = audit("x", room.place.inside, "fp16", maxParallel=4, onBreach="Report")["spec"]
    del template["model"]
    template["checks"] = [{"finite": {}}, {"labelAccuracy": {"metric": "top1", "keep": 0.9}}]
    models = [
        {"name": name, "uri": f"s3://{MODELS}/{file}.onnx"}
        for name, file in (("healthy", "digits-cnn"), ("overflow", "digits-cnn-overflow"))
    ]
    spec = {"template": template, "models": models, "upgrade": {"fromImage": other, "toImage": RUNNER}}
    manifest: Manifest = {
        "apiVersion": "assay.dev/v1alpha1", "kind": "AccuracySweep", "metadata": {"name": "up"}, "spec": spec,
    }  # fmt: skip
    room.apply(manifest)
    wait_until(lambda: bool(room.objects("jobs", "assay.dev/kind=golden")), "its first audit", 120)
    early = gate(room)
    assert (early.returncode, "has not ended" in early.stderr) == (2, True), early.stderr
    done = gate(room, "--wait", "300")
    assert done.returncode == 1, done.stderr
    assert "No go: 1 no go, 1 go of 2 models times GPU products; emulated" in " ".join(done.stdout.split())
    told = room.place.kubectl.json("get", "sweep", "up", "--namespace", room.name)["status"]
    assert told["counts"] == {"cells": 4, "passed": 3, "failed": 1}
    (row,) = told["gate"]["worst"]
    assert (row["model"], told["gate"]["emulated"]) == ("overflow", True)
    assert "it passed with the old image" in row["message"]
    audits = room.place.kubectl.json("get", "audits", "--namespace", room.name)["items"]
    compared = {a["spec"]["model"]["uri"]: a["status"]["candidates"][0].get("compared", {}) for a in audits
                if a["spec"]["target"]["image"] == RUNNER}  # fmt: skip
    assert compared[f"s3://{MODELS}/digits-cnn-overflow.onnx"]["state"] == "Regressed"
    assert compared[f"s3://{MODELS}/digits-cnn.onnx"]["state"] in ("Changed", "Unchanged")
