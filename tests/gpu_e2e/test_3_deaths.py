"""A pod deleted while TensorRT builds, TensorRT ended by a signal, the operator killed: each costs what it cost."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest

from assay_api.report import Report
from tests.e2e.data import DATASETS, MODELS, audit
from tests.e2e.place import SYSTEM, Manifest, Place, Room
from tests.e2e.test_audits import fetch
from tests.e2e.test_faults import CHECKS as LONG_CHECKS
from tests.e2e.test_faults import DATA as LONG
from tests.gpu.test_crash import BATCH, SAMPLES
from tests.gpu.transformer import WIDTH, WORDS, transformer
from tests.gpu_e2e.audits import on_node
from tests.gpu_e2e.conftest import SECONDS
from tests.gpu_e2e.evidence import Evidence
from tests.gpu_e2e.watching import Watch, steps, watching
from tests.lab import LabError
from tests.lab.gpus import Gpus
from tests.lab.processes import wait_until
from tests.models import random

# The one that works is a child of the container's first process, which waits for it and for nothing else.
SIGNAL = """
import os, signal
for pid in filter(str.isdigit, os.listdir("/proc")):
    try:
        parent = open(f"/proc/{pid}/stat").read().rpartition(")")[2].split()[1]
    except OSError:
        continue
    if parent == "1":
        os.kill(int(pid), signal.SIGSEGV)
        break
else:
    raise SystemExit("nobody works yet")
"""
CHECKS = [{"finite": {}}, {"outputDrift": {"cosine": 0.0}}]
DELETED, SIGNALLED, SPARED = "deleted", "signalled", "spared"


def mortal(place: Place, gpus: Gpus) -> Manifest:
    """An audit of what takes a while: engines of a transformer; where there is no GPU, emulations on much data."""
    if not gpus.real:
        wanted = {DELETED: "bf16", SIGNALLED: "fp16", SPARED: "fp32"}
        emulated = [{"name": name, "backend": "onnxruntime", "precision": kind} for name, kind in wanted.items()]
        return audit("mortal", place.inside, candidates=emulated, dataset=LONG, checks=LONG_CHECKS, backoffLimit=2)
    client = place.s3.client()
    client.put_object(Bucket=MODELS, Key="transformer.onnx", Body=transformer().SerializeToString())
    client.put_object(Bucket=DATASETS, Key="words/part-0.npz", Body=npz(x=random(SAMPLES, WORDS, WIDTH)))
    client.close()
    kinds = {DELETED: ("fp16", "strong"), SIGNALLED: ("bf16", "strong"), SPARED: ("fp32", "weak")}
    built = {"backend": "tensorrt", "build": {"optimizationLevel": 3}}
    spec = {
        "model": {"uri": f"s3://{MODELS}/transformer.onnx"},
        "dataset": {"uri": f"s3://{DATASETS}/words/", "batch": BATCH},
        "candidates": [{"name": n, "precision": p, "typing": t, **built} for n, (p, t) in kinds.items()],
        "checks": CHECKS,
        "backoffLimit": 2,
    }
    return on_node("mortal", place.inside, gpus, spec)


def npz(**arrays: Any) -> bytes:
    """A shard of these arrays."""
    out = io.BytesIO()
    np.savez(out, **arrays)
    return out.getvalue()


def working(room: Room, candidate: str, word: str) -> str:
    """The name of a candidate's pod that has this word in its log; empty where none does."""
    for pod in room.objects("pods", f"assay.dev/candidate={candidate}"):
        name: str = pod["metadata"]["name"]
        if pod["status"].get("phase") == "Running" and "deletionTimestamp" not in pod["metadata"]:
            log = room.place.kubectl.attempt("logs", name, "--namespace", room.name).stdout
            if word in log:
                return name
    return ""


class Strikes:
    """What befalls the pods of an audit, each once; `gone` is the one that was deleted."""

    def __init__(self, room: Room, word: str) -> None:
        self.room, self.word, self.left, self.gone = room, word, {DELETED, SIGNALLED}, ""

    def struck(self) -> bool:
        """Strike what works now; tell whether nothing is left to strike."""
        for candidate in sorted(self.left):
            if pod := working(self.room, candidate, self.word):
                # It may just have begun, or ended: then it is looked for again.
                try:
                    (self.delete if candidate == DELETED else self.signal)(pod)
                    self.left.discard(candidate)
                except LabError as error:
                    print(f"{candidate}: {error}")
        return not self.left

    def delete(self, pod: str) -> None:
        """Delete the pod, and kill the operator that is to see it."""
        self.gone = pod
        self.room.kubectl("delete", "pod", pod, "--grace-period=1", "--wait=false")
        (operator,) = self.room.place.operators()
        self.room.place.kill(SYSTEM, operator["metadata"]["name"])

    def signal(self, pod: str) -> None:
        """End the process that works, as a crash in TensorRT would."""
        words = ("exec", "--namespace", self.room.name, pod, "--", "python3", "-c", SIGNAL)
        self.room.place.kubectl(*words)


@pytest.fixture(scope="module")
def struck(place: Place, node_gpus: Gpus, evidence: Evidence) -> tuple[Room, Manifest, Watch, str]:
    """The audit as it ended, its pods, and the name of the one that was deleted."""
    room = Room.make(place, "gpu-deaths")
    strikes = Strikes(room, "build the engine" if node_gpus.real else "infer")
    with watching(room) as watch:
        room.apply(mortal(place, node_gpus))
        wait_until(strikes.struck, "both candidates were struck at work", 180, every=0.1)
        found = room.wait("mortal", "Complete", SECONDS)
    evidence.fact("deaths", {"status": found["status"], "pods": watch.told(), "deleted": strikes.gone})
    for words in (("describe", "audit", "mortal"), ("get", "jobs,pods", "-o", "wide")):
        evidence.text("kubectl.txt", f"deaths: kubectl {' '.join(words)}", room.kubectl(*words))
    for pod in watch.pods:
        evidence.text("pods.log", pod, "\n".join(steps(room, pod)))
    return room, found, watch, strikes.gone


def told(found: Manifest, name: str) -> Manifest:
    """A candidate's part of a status."""
    one: Manifest = next(each for each in found["status"]["candidates"] if each["name"].split("@")[0] == name)
    return one


def test_a_pod_that_was_deleted_is_replaced_and_nothing_else_runs_again(
    struck: tuple[Room, Manifest, Watch, str],
) -> None:
    _, found, watch, gone = struck
    pods = {name: [p for p, seen in watch.pods.items() if seen.candidate == name] for name in (DELETED, SPARED)}
    assert gone in pods[DELETED]
    assert len(pods[DELETED]) == 2
    assert len(pods[SPARED]) == 1
    assert len([seen for seen in watch.pods.values() if seen.kind == "golden"]) == 1
    assert told(found, DELETED)["state"] == "Finished"
    assert told(found, DELETED)["verdict"] in ("Passed", "Failed")


def test_a_signal_inside_tensorrt_is_that_candidates_sentence(
    struck: tuple[Room, Manifest, Watch, str], place: Place
) -> None:
    _, found, watch, _ = struck
    signalled = told(found, SIGNALLED)
    assert signalled["state"] == "Finished"
    assert signalled["verdict"] == "Inconclusive"
    report = Report.model_validate_json(fetch(place, signalled["reportUri"]))
    (candidate,) = report.candidates
    words = " ".join(filter(None, [candidate.error, *candidate.notes, *(f.message for f in report.findings)]))
    assert "ended the process by SIGSEGV" in words
    assert len([seen for seen in watch.pods.values() if seen.candidate == SIGNALLED]) == 1
    assert told(found, SPARED)["verdict"] == "Passed"


def test_the_operator_that_was_killed_meanwhile_took_up_where_it_was(
    struck: tuple[Room, Manifest, Watch, str], place: Place
) -> None:
    room, found, _, _ = struck
    (operator,) = place.operators()
    assert operator["status"]["containerStatuses"][0]["restartCount"] >= 1
    jobs = room.objects("jobs", "assay.dev/audit=mortal")
    kinds = sorted(job["metadata"]["labels"]["assay.dev/kind"] for job in jobs)
    assert kinds == ["candidate", "candidate", "candidate", "golden", "summary"]
    assert found["status"]["finished"] == "3/3"
