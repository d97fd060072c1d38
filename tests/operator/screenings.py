"""Screenings in the words of the tests: nodes with GPUs, and Pods in which the runner's own tasks run.

Each node's Job has its task run by the runner, in processes of their own, on an ONNX model by as many stand-ins as the
node has GPUs, of which some compute wrongly (`tests/runner/screening/faulty.py`).
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from assay_api.plan import Task
from assay_api.result import TaskResult, to_termination_message
from assay_api.task_kinds import SCREEN
from assay_runner.progress.tracker import Tracker
from assay_runner.progress.views import PlainView
from assay_runner.screening.processes import Processes
from assay_runner.stores import open_store
from assay_runner.tasks.compare import run_compare
from assay_runner.tasks.context import Context
from assay_runner.tasks.screen import screened
from tests.lab.apiserver import ApiServer
from tests.operator.kubelet import Kubelet
from tests.operator.lab import Namespace, Raw
from tests.runner.screening.faulty import FAULTS

PRODUCT = "NVIDIA-H100-80GB-HBM3"
FAULTY = "tests.runner.screening.faulty"
Faults = Mapping[str, Mapping[str, Raw]]
"""What is wrong with devices, by node and device."""


def show(api: ApiServer, name: str, gpus: int, *, labels: Raw, capacity: int | None = None, **spec: Any) -> None:
    """A node with GPUs of the product."""
    labels = {"nvidia.com/gpu.product": PRODUCT, **labels}
    api.kubectl.apply({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels}, "spec": spec})
    there = {"cpu": "64", "memory": "1Ti"}
    told = {
        "capacity": {**there, "nvidia.com/gpu": str(gpus if capacity is None else capacity)},
        "allocatable": {**there, "nvidia.com/gpu": str(gpus)},
    }
    api.kubectl("patch", "node", name, "--subresource=status", "--type=merge", "-p", json.dumps({"status": told}))


def manifest(plan: Path, artifacts: Path, namespace: str, meta: Raw | None = None, **spec: Any) -> Raw:
    """A screening called h100, of few runs."""
    whole = {
        "plan": {"uri": f"file://{plan}"},
        "artifacts": {"uri": f"file://{artifacts}"},
        "target": {"gpuProducts": [PRODUCT], "nodeSelector": {"set": "even"}},
        "runs": 60, "heatSeconds": 0, "silenceSeconds": 3, "inputs": 4,
        **spec,
    }  # fmt: skip
    meta = {"name": "h100", "namespace": namespace, **(meta or {})}
    return {"apiVersion": "assay.dev/v1alpha1", "kind": "GpuScreening", "metadata": meta, "spec": whole}


def apply(namespace: Namespace, plan: Path, artifacts: Path, meta: Raw | None = None, **spec: Any) -> None:
    """Have one screened."""
    made = manifest(plan, artifacts, namespace.name, meta, **spec)
    namespace.apply("gpuscreenings", made["kind"], made["metadata"], made["spec"])


def status(namespace: Namespace, name: str = "h100") -> Raw:
    found: Raw = namespace.read("gpuscreenings", name).get("status") or {}
    return found


def condition(namespace: Namespace, kind: str) -> Raw:
    return next((each for each in status(namespace).get("conditions", ()) if each["type"] == kind), {})


class Nodes:
    """Plays the kubelets of a cluster whose GPUs may be faulty; Jobs of nodes in `busy` stay pending.

    Args:
        namespace: where the Jobs are.
        kubelet: ends their Pods.
        scratch: folder for the tasks.
        patch: sets what the tasks' processes see.
    """

    def __init__(self, namespace: Namespace, kubelet: Kubelet, scratch: Path, patch: pytest.MonkeyPatch) -> None:
        self.namespace, self.kubelet, self.scratch, self._patch = namespace, kubelet, scratch, patch
        self.faults: Faults = {}
        self.busy: set[str] = set()
        self.stuck: set[str] = set()
        self.ran: list[str] = []

    def work(self) -> None:
        """Run every Job that can run now."""
        for job in self.namespace.items("jobs"):
            if not any(c["type"] in ("Complete", "Failed") for c in job.get("status", {}).get("conditions", ())):
                self._run(job)

    def answer_as_gpus(self, *, fleet: Raw) -> None:
        """Answer all Jobs of a run as if real GPUs had been screened, and this was found of them."""

        def ended() -> bool:
            for job in self.namespace.items("jobs"):
                task = task_of(job)
                if any(c["type"] in ("Complete", "Failed") for c in job.get("status", {}).get("conditions", ())):
                    continue
                if task.screen:
                    self.kubelet.finish(job, screened={"node": task.screen.node, "devices": task.screen.gpus})
                else:
                    verdict = "Failed" if fleet.get("named") else "Passed"
                    self.kubelet.finish(job, verdict=verdict, fleet=fleet)
            return condition(self.namespace, "Complete").get("status") == "True"

        self.namespace.until(ended, "the end of the screening")

    def until_ended(self) -> Raw:
        """Run Jobs until the run has ended; its status."""

        def ended() -> bool:
            self.work()
            return condition(self.namespace, "Complete").get("status") == "True"

        self.namespace.until(ended, "the end of the screening")
        return status(self.namespace)

    def _run(self, job: Raw) -> None:
        task = task_of(job)
        node = task.screen.node if task.screen else ""
        if node in self.busy:
            return
        self.ran.append(task.key)
        if node in self.stuck:
            # As the kubelet ends a Pod that is longer active than it may be.
            self.kubelet.pod(job, phase="Failed", reason="DeadlineExceeded", message="Pod was active for too long")
            self.kubelet.close(job, failed="BackoffLimitExceeded")
            return
        self.kubelet.end(job, to_termination_message(self._result(task, node)))

    def _result(self, task: Task, node: str) -> TaskResult:
        context = Context(open_store(task.spec.storage), self.scratch, Tracker(PlainView(sys.stderr)))
        if task.kind != SCREEN:
            return run_compare(task, context)
        assert task.screen is not None
        self._patch.setenv(FAULTS, json.dumps(self.faults.get(node, {})))
        scanner = Processes(float(task.screen.silence_seconds), module=FAULTY)
        try:
            return screened(task, context, scanner)
        finally:
            scanner.stop()


def task_of(job: Raw) -> Task:
    """The task of a Job, as its Pod reads it."""
    (container,) = job["spec"]["template"]["spec"]["containers"]
    (text,) = (each["value"] for each in container["env"] if each["name"] == "ASSAY_TASK")
    return Task.model_validate_json(text)
