"""One cluster with GPUs for these tests, and the audit that most of them look at."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.conftest import shown
from tests.e2e.conftest import pytest_runtest_makereport, room
from tests.e2e.data import AUDITS, MODELS, upload
from tests.e2e.place import Manifest, Place, Room
from tests.gpu.plans import served
from tests.gpu_e2e.audits import engines
from tests.gpu_e2e.evidence import Evidence, figures
from tests.gpu_e2e.place import gpu_place
from tests.gpu_e2e.times import budget
from tests.gpu_e2e.watching import Watch, steps, watching
from tests.lab import Unavailable, gpus, step
from tests.lab.gpus import Gpus

__all__ = ["Audited", "audited_as", "pytest_runtest_makereport", "room"]

STAND_IN = "ASSAY_GPU_STAND_IN"
SECONDS = 420


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What was measured, beside its goal; a goal that is missed fails nothing."""
    for line in figures(report for reports in terminalreporter.stats.values() for report in reports):
        terminalreporter.write_line(line)


@dataclass(frozen=True)
class Audited:
    """The audit of the digits as engines, from `kubectl apply` to its end.

    Attributes:
        room: its namespace.
        found: the resource as it ended.
        watch: its pods.
        seconds: from apply to Complete.
    """

    room: Room
    found: Manifest
    watch: Watch
    seconds: float


@pytest.fixture(scope="session")
def node_gpus() -> Gpus:
    """The GPUs of this machine; where it has none, or is told to take none, one stand-in."""
    if os.environ.get(STAND_IN):
        return gpus.stand_in(1)
    try:
        return gpus.here()
    except Unavailable:
        return gpus.stand_in(1)


@pytest.fixture(scope="session")
def evidence(node_gpus: Gpus) -> Evidence:
    """Where what was seen is kept."""
    kept = Evidence()
    told = {"product": node_gpus.product, "label": node_gpus.label, "count": len(node_gpus.devices)}
    told |= {"driver": node_gpus.driver, "memory": str(node_gpus.memory), "libraries": sorted(node_gpus.libraries)}
    kept.fact("machine", {**told, "kernel": platform.release(), "processors": os.cpu_count()})
    return kept


@pytest.fixture(scope="session")
def place(
    node_gpus: Gpus, evidence: Evidence, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Place]:
    """The cluster with the chart installed."""
    begin = time.monotonic()
    scratch = tmp_path_factory.mktemp("gpu-images")
    with shown(request):
        made = gpu_place(node_gpus, scratch)
        place = made.__enter__()
    try:
        upload(place.s3)
        with shown(request), step("installing the chart"):
            place.install()
        evidence.fact("seconds until the operator was ready", round(time.monotonic() - begin, 1))
        yield place
        evidence.text("operator.log", "operator", place.operator_log())
    finally:
        made.__exit__(None, None, None)


@pytest.fixture(scope="session")
def audited(place: Place, node_gpus: Gpus, evidence: Evidence) -> Audited:
    """`examples/digits/engines.yaml` on the node, waited for."""
    done = audited_as("digits", place, node_gpus, evidence)
    room, watch = done.room, done.watch
    evidence.fact("status of the digits", done.found["status"])
    for words in (("get", "audit", "-o", "wide"), ("describe", "audit", "digits"), ("get", "jobs,pods", "-o", "wide")):
        evidence.text("kubectl.txt", f"kubectl {' '.join(words)}", room.kubectl(*words))
    evidence.text("kubectl.txt", "kubectl describe node", place.kubectl("describe", "node"))
    logs = {pod: steps(room, pod) for pod in watch.pods}
    for pod, log in logs.items():
        evidence.text("pods.log", pod, "\n".join(log))
    evidence.fact("where the time goes", budget(watch.told(), logs, watch.began))
    return done


def audited_as(name: str, place: Place, node_gpus: Gpus, evidence: Evidence, **more: Any) -> Audited:
    """`examples/digits/engines.yaml`, with more in its spec, in a namespace and a store of its own."""
    room = Room.make(place, f"gpu-{name}")
    with watching(room) as watch:
        room.apply(engines(name, place.inside, node_gpus, **more))
        found = room.wait(name, "Complete", SECONDS)
        seconds = time.monotonic() - watch.begin
    told = {"seconds": round(seconds, 1), "began": watch.began, "pods": watch.told()}
    evidence.fact(f"audit of the {name}", told)
    return Audited(room, found, watch, seconds)


@pytest.fixture
def two(place: Place, node_gpus: Gpus) -> Iterator[Gpus]:
    """Two GPUs on the node: its own, or stand-ins."""
    assert place.lab
    if node_gpus.real:
        if len(node_gpus.devices) < 2:
            raise Unavailable("two GPUs are needed: this machine has one")
        yield node_gpus
        return
    pair = gpus.stand_in(2, node_gpus.product)
    place.lab.offer(pair)
    yield pair
    place.lab.offer(node_gpus)


@pytest.fixture(scope="session")
def plan(place: Place, node_gpus: Gpus) -> str:
    """URI of one engine of the digits; for stand-ins of their ONNX file, which can be run on the CPU."""
    if not node_gpus.real:
        return f"s3://{MODELS}/digits-cnn.onnx"
    assert place.lab
    room, data = Room.make(place, "gpu-plan"), place.lab.folder / "s3"
    # Of the store of test_1: where that has run, nothing is built here.
    manifest = engines("plan", place.inside, node_gpus, store="digits")
    manifest["spec"]["candidates"] = [c for c in manifest["spec"]["candidates"] if c["name"] == "fp32"]
    room.apply(manifest)
    room.wait("plan", "Complete", SECONDS)
    return f"s3://{served(data / AUDITS / 'digits').relative_to(data)}"
