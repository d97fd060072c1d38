"""Storage that refuses connections for ten minutes, in the middle of an audit: real runners, S3 and Job controller.

Only the kubelet is played: it runs each Pod's command as a process of this machine.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.bench.figures import Figure, say
from tests.e2e.data import DATASETS, audit, upload
from tests.lab.apiserver import ApiServer
from tests.lab.processes import wait_until
from tests.lab.s3 import S3Server
from tests.operator.kubelet import Kubelet
from tests.operator.lab import Namespace, Raw, install, running
from tests.operator.player import over

LONG = {"uri": f"s3://{DATASETS}/long/", "labels": "label", "batch": 8}
CHECKS = [{"finite": {}}, {"layerDrift": {}}, {"runToRun": {"runs": 5}}]
USUAL_RETRY_SECONDS = 120.0


@dataclass
class Processes:
    """A kubelet whose containers are processes of this machine.

    Attributes:
        namespace: whose Pods it runs.
        folder: for scratch, logs and what they tell at their end.
        keys: of the storage.
        codes: exit codes of those that ended, by the kind of task.
    """

    namespace: Namespace
    folder: Path
    keys: dict[str, str]
    codes: list[tuple[str, int]] = field(default_factory=list)
    at_work: dict[str, tuple[Raw, subprocess.Popen[bytes]]] = field(default_factory=dict)

    def turn(self) -> None:
        """Start what is new, and tell of what has ended."""
        for pod in self.namespace.items("pods"):
            name = pod["metadata"]["name"]
            if pod["status"]["phase"] == "Pending" and name not in self.at_work:
                self.at_work[name] = pod, self._start(pod)
        for name, (pod, process) in list(self.at_work.items()):
            if process.poll() is not None:
                self._ended(name, pod, process.returncode)
        time.sleep(0.3)

    def end(self) -> None:
        """Kill what is left."""
        for _, process in self.at_work.values():
            process.kill()
            process.wait()

    def _start(self, pod: Raw) -> subprocess.Popen[bytes]:
        name = pod["metadata"]["name"]
        scratch = self.folder / name
        scratch.mkdir()
        given = {each["name"]: each["value"] for each in pod["spec"]["containers"][0]["env"] if "value" in each}
        own = {
            "ASSAY_TERMINATION_MESSAGE": str(scratch / "told"), "ASSAY_SCRATCH": str(scratch), "HOME": str(scratch),
            "TMPDIR": str(scratch), "ASSAY_PROGRESS_PORT": "0",
        }  # fmt: skip
        with (self.folder / f"{name}.log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "assay_runner", "task"], env={**os.environ, **given, **self.keys, **own},
                stdout=log, stderr=log, cwd=scratch,
            )  # fmt: skip
        Kubelet(self.namespace).set_pod(name, phase="Running", startTime=_now())
        return process

    def _ended(self, name: str, pod: Raw, code: int) -> None:
        del self.at_work[name]
        self.codes.append((pod["metadata"]["labels"]["assay.dev/kind"], code))
        told = self.folder / name / "told"
        ended = {
            "exitCode": code, "reason": "Error" if code else "Completed",
            "message": told.read_text() if told.exists() else "", "startedAt": _now(), "finishedAt": _now(),
        }  # fmt: skip
        container = {
            "name": "task", "image": "x", "imageID": "", "ready": False, "restartCount": 0,
            "state": {"terminated": ended},
        }  # fmt: skip
        Kubelet(self.namespace).set_pod(
            name, phase="Failed" if code else "Succeeded", startTime=_now(), containerStatuses=[container]
        )


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def outage(seconds: float, retry_seconds: float = USUAL_RETRY_SECONDS) -> Iterator[Figure]:
    """Take the storage away for so long as soon as the candidate runs; from its return to the verdict."""
    with ApiServer(controllers=True) as api, S3Server() as s3, tempfile.TemporaryDirectory() as temporary:
        install(api)
        upload(s3.access)
        folder = Path(temporary)
        namespace = Namespace(api.kubectl, "outage")
        env = {"ASSAY_STORAGE_RETRY_SECONDS": f"{retry_seconds:g}"}
        kubelet = Processes(namespace, folder, s3.env)
        with running(api, folder, **env):
            try:
                yield from _through(namespace, kubelet, s3, seconds)
            finally:
                kubelet.end()


def _through(namespace: Namespace, kubelet: Processes, s3: S3Server, seconds: float) -> Iterator[Figure]:
    manifest = audit("long", s3.access, "bf16", dataset=LONG, checks=CHECKS)
    namespace.kubectl.apply(manifest, arguments=("--namespace", namespace.name))

    def candidate_runs() -> bool:
        kubelet.turn()
        return any(pod["metadata"]["labels"]["assay.dev/kind"] == "candidate" for pod, _ in kubelet.at_work.values())

    wait_until(candidate_runs, "the candidate to run", 300)
    s3.pause()
    say(f"storage refuses connections for {seconds:.0f} s")
    end = time.monotonic() + seconds
    reasons = set()
    while time.monotonic() < end:
        kubelet.turn()
        reasons.add(namespace.condition("long", "Ready").get("reason"))
    s3.resume()
    began = time.perf_counter()

    def ended() -> bool:
        kubelet.turn()
        return over(namespace.audit("long"))

    wait_until(ended, "the audit to end", 1800)
    status = namespace.audit("long")["status"]
    jobs = [job["metadata"]["labels"]["assay.dev/kind"] for job in namespace.items("jobs")]
    again = sum(code != 0 for _, code in kubelet.codes)
    say(f"{status['verdict']} {time.perf_counter() - began:.0f} s after; {again} tries given up, meanwhile {reasons}")
    done = sorted(kind for kind, code in kubelet.codes if code == 0)
    yield Figure("soak_outage_lost", (status["verdict"] != "Passed") + abs(len(set(done)) - 3), 0)
    yield Figure("soak_outage_doubled", len(done) + len(jobs) - 6, 0)
