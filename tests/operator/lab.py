"""The operator as a process of its own against a real kube-apiserver, and the words the tests are written in.

Nothing here stands in for the API server, and the operator is the one that users start.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPException
from pathlib import Path
from typing import Any, Self

from tests.bench.kube import Kube
from tests.lab import LabError
from tests.lab.apiserver import ApiServer
from tests.lab.discovery import establish
from tests.lab.kubectl import Kubectl
from tests.lab.processes import PATIENCE, free_port, wait_until

REPOSITORY = Path(__file__).parents[2]
CRDS = REPOSITORY / "crds"
PATHS = {
    "accuracyaudits": "/apis/assay.dev/v1alpha1",
    "accuracysweeps": "/apis/assay.dev/v1alpha1",
    "gpuscreenings": "/apis/assay.dev/v1alpha1",
    "jobs": "/apis/batch/v1",
    "pods": "/api/v1",
    "events": "/api/v1",
    "configmaps": "/api/v1",
    "toys": "/apis/assay.dev/v1alpha1",
}
Raw = dict[str, Any]

GRACE = 30.0
"""Seconds after which a kubelet kills what it has asked to end, by the chart (terminationGracePeriodSeconds)."""
ASKED = 20.0
"""Seconds in which a process answers that is not stopped."""

SPEC: Raw = {
    "model": {"uri": "s3://models/digits.onnx"},
    "dataset": {"uri": "s3://datasets/digits/"},
    "candidates": [
        {"name": "fp16", "backend": "onnxruntime", "precision": "fp16"},
        {"name": "bf16", "backend": "onnxruntime", "precision": "bf16"},
    ],
    "artifacts": {"uri": "s3://audits/"},
    "maxParallel": 2,
}


class Operator:
    """One operator process; `module` is what is started."""

    module = "assay_operator"

    def __init__(self, api: ApiServer, log: Path, **env: str) -> None:
        self.probe, self.metrics = free_port(), free_port()
        self.log = log
        self._env = {
            **os.environ,
            "KUBECONFIG": str(api.kubeconfig),
            "ASSAY_RUNNER_IMAGE": "registry.example/assay-runner:1",
            "ASSAY_PROBE_PORT": str(self.probe),
            "ASSAY_METRICS_PORT": str(self.metrics),
            "ASSAY_LEASE_SECONDS": "4",
            "ASSAY_RENEW_SECONDS": "3",
            "ASSAY_LEASE_RETRY_SECONDS": "1",
            **env,
        }
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> Operator:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", self.module], env=self._env, cwd="/", stderr=log, stdout=log
            )
        return self

    def ready(self, seconds: float = PATIENCE) -> Operator:
        wait_until(lambda: self.answer("/readyz") == 200, f"the operator to be ready, see {self.log}", seconds)
        return self

    def leading(self, seconds: float = PATIENCE) -> Operator:
        wait_until(self.leads, f"the operator to lead, see {self.log}", seconds)
        return self.ready(seconds)

    def leads(self) -> bool:
        return "assay_operator_leader 1.0" in self.scrape()

    def scrape(self) -> str:
        """Its metrics; nothing where it does not tell them now."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.metrics}/metrics", timeout=ASKED) as response:
                return str(response.read().decode())
        except (OSError, HTTPException):
            return ""

    def metric(self, name: str) -> float:
        """The sum of a metric."""
        return sum(float(line.rsplit(" ", 1)[1]) for line in self.counted(name))

    def counted(self, name: str) -> list[str]:
        """Lines of a metric, waited for: an operator that does not tell its metrics now has not counted nothing."""
        told: list[str] = []

        def tells() -> bool:
            told[:] = self.scrape().splitlines()
            return bool(told)

        wait_until(tells, f"the operator to tell its metrics, see {self.log}", PATIENCE)
        return [line for line in told if line.startswith(name)]

    def answer(self, path: str) -> int:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.probe}{path}", timeout=ASKED) as response:
                return int(response.status)
        except urllib.error.HTTPError as error:
            return error.code
        except (OSError, HTTPException):
            return 0

    @property
    def alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def memory(self) -> int:
        """Resident memory in MiB."""
        assert self.process is not None
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return next(int(line.split()[1]) // 1024 for line in status.splitlines() if line.startswith("VmRSS"))

    def kill(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(PATIENCE)

    def stop(self, seconds: float = PATIENCE) -> int:
        """Ask it to stop, as the kubelet does; its exit code."""
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            raise

    def end(self) -> None:
        if self.alive:
            self.kill()


@contextmanager
def running(api: ApiServer, folder: Path, **env: str) -> Iterator[Operator]:
    """An operator that leads, gone afterwards."""
    operator = Operator(api, folder / "operator.log", **env).start()
    try:
        yield operator.leading()
    finally:
        # Asked to, it gives its Lease back: the next one need not wait until that has run out.
        with suppress(subprocess.TimeoutExpired):
            operator.stop(5)


def install(api: ApiServer) -> None:
    """Install the definitions of our resources."""
    establish(api.kubectl, *sorted(CRDS.glob("*.yaml")))


class Namespace:
    """One namespace, with the words the tests are written in."""

    def __init__(self, kubectl: Kubectl, name: str, *, made: bool = False) -> None:
        self.kubectl, self.name = kubectl, name
        # kubectl says what a user would type, and takes a third of a second of processor time to apply it. What a test
        # is not about goes a cheaper way.
        self.kube = Kube(kubectl.kubeconfig)
        if not made:
            self.kube.request("POST", "/api/v1/namespaces", {"metadata": {"name": name}})

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Its Pods go: one that nobody ends keeps room, and what lacks room in another test would wait for it."""
        with suppress(OSError, HTTPException, LabError):
            self._asked(lambda kube: kube.request("DELETE", f"{self.path('pods')}?gracePeriodSeconds=0"))
        self.disconnect()

    def disconnect(self) -> None:
        """Close the connection of this thread."""
        if connection := getattr(self.kube.own, "connection", None):
            connection.close()
        self.kube = Kube(self.kubectl.kubeconfig)

    def __call__(self, *arguments: str, **options: Any) -> str:
        return self.kubectl("-n", self.name, *arguments, **options)

    def path(self, kind: str, name: str = "") -> str:
        return f"{PATHS[kind]}/namespaces/{self.name}/{kind}{f'/{name}' if name else ''}"

    def read(self, kind: str, name: str = "") -> Raw:
        """One object, or all of a kind."""
        return self._asked(lambda kube: kube.request("GET", self.path(kind, name)))

    def _asked(self, ask: Callable[[Kube], Raw]) -> Raw:
        """What an API server answers that may have been another's when it was asked before."""
        try:
            return ask(self.kube)
        except (OSError, HTTPException):
            self.disconnect()
            return ask(self.kube)

    def items(self, kind: str) -> list[Raw]:
        found: list[Raw] = self.read(kind)["items"]
        return found

    def apply_audit(self, name: str, meta: Raw | None = None, **spec: Any) -> None:
        self.apply("accuracyaudits", "AccuracyAudit", {"name": name, **(meta or {})}, {**SPEC, **spec})

    def apply(self, plural: str, kind: str, meta: Raw, spec: Raw) -> None:
        """Apply one of our resources, without fields that are None."""
        manifest = {"apiVersion": "assay.dev/v1alpha1", "kind": kind, "metadata": meta, "spec": given(spec)}
        self._asked(lambda kube: kube.apply(self.path(plural, meta["name"]), manifest))

    def audit(self, name: str) -> Raw:
        return self.read("accuracyaudits", name)

    def condition(self, name: str, kind: str) -> Raw:
        conditions = (self.audit(name).get("status") or {}).get("conditions") or ()
        return next((c for c in conditions if c["type"] == kind), {})

    def jobs(self) -> dict[str, Raw]:
        """Jobs by the task they do: `golden`, the candidate's name, `summary`."""
        return {task_of(job): job for job in self.items("jobs")}

    def run(self, name: str) -> str:
        """The run of an audit, waited for: its status is written after its first Job."""
        self.until(lambda: bool(self.audit(name)["status"]["run"]), f"the run of {name}")
        return str(self.audit(name)["status"]["run"])

    def job(self, task: str, seconds: float = PATIENCE) -> Raw:
        """The task's Job, waited for."""
        wait_until(lambda: task in self.jobs(), f"a Job for {task}", seconds)
        return self.jobs()[task]

    def wait(self, condition: str, *what: str) -> None:
        """Wait for a condition as a user does, by `kubectl wait`; of the audit called digits unless told otherwise."""
        self("wait", f"--for=condition={condition}", *(what or ("audit/digits",)), f"--timeout={PATIENCE:g}s")

    def events(self) -> list[str]:
        return [f"{event['reason']}: {event['message']}" for event in self.items("events")]

    def until(self, holds: Callable[[], bool], what: str, seconds: float = PATIENCE) -> None:
        """Wait for it; a field that is not written yet is no answer."""

        def holds_now() -> bool:
            try:
                return holds()
            except KeyError:
                return False

        wait_until(holds_now, what, seconds)


def given(fields: Raw) -> Raw:
    """Fields without those that are None, as kubectl sends them."""
    inner = {key: given(value) if isinstance(value, dict) else value for key, value in fields.items()}
    return {key: value for key, value in inner.items() if value is not None}


def task_of(job: Raw) -> str:
    labels = job["metadata"]["labels"]
    return str(labels.get("assay.dev/candidate") or labels["assay.dev/kind"])
