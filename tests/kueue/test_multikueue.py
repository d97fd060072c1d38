"""Audits in a queue of a real MultiKueue: their Jobs run in another cluster, their answers are read in this one."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import pytest

from tests.kueue.lab import NAMESPACE, Kueue
from tests.kueue.test_kueue import API, ONE, QUEUE, Team, numbers, queued
from tests.lab.apiserver import ApiServer
from tests.lab.kubectl import Kubectl
from tests.operator.lab import Namespace, Operator, Raw, install, running
from tests.operator.sweeps import apply as apply_sweep
from tests.operator.sweeps import status as sweep_status

STORED = {"uri": "s3://audits/x/report.json", "sha256": "ab" * 32}


@dataclass(frozen=True)
class Clusters:
    """A manager cluster, where the operator is, and a worker cluster, where none is."""

    manager: ApiServer
    worker: ApiServer


@pytest.fixture(scope="module")
def clusters() -> Iterator[Clusters]:
    with ExitStack() as stack:
        servers = [stack.enter_context(ApiServer(controllers=True)) for _ in range(2)]
        for server in servers:
            stack.enter_context(Kueue(server))
            server.kubectl.apply({"apiVersion": API, "kind": "ResourceFlavor", "metadata": {"name": "default"}})
        made = Clusters(*servers)
        install(made.manager)
        config = base64.b64encode(made.worker.kubeconfig.read_bytes()).decode()
        meta = {"name": "worker", "namespace": NAMESPACE}
        secret = {"apiVersion": "v1", "kind": "Secret", "metadata": meta, "data": {"kubeconfig": config}}
        made.manager.kubectl.apply(secret)
        source = {"clusterSource": {"kubeConfig": {"location": "worker", "locationType": "Secret"}}}
        parameters = {"apiGroup": "kueue.x-k8s.io", "kind": "MultiKueueConfig", "name": "all"}
        check = {"controllerName": "kueue.x-k8s.io/multikueue", "parameters": parameters}
        for kind, name, spec in (
            ("MultiKueueCluster", "worker", source),
            ("MultiKueueConfig", "all", {"clusters": ["worker"]}),
            ("AdmissionCheck", "multikueue", check),
        ):
            made.manager.kubectl.apply({"apiVersion": API, "kind": kind, "metadata": {"name": name}, "spec": spec})
        made.manager.kubectl("wait", "--for=condition=Active", "admissioncheck/multikueue", "--timeout=120s")
        yield made


@pytest.fixture(scope="module")
def operator(clusters: Clusters, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operator]:
    with running(clusters.manager, tmp_path_factory.mktemp("operator"), ASSAY_PROGRESS_SECONDS="0.5") as operator:
        yield operator


class Pair:
    """One namespace in both clusters, with a queue that leads from one to the other."""

    def __init__(self, clusters: Clusters, name: str) -> None:
        self.here, self.there = Team(clusters.manager.kubectl, name), Team(clusters.worker.kubectl, name)
        self.there.quota("8")
        self.here.quota("8", admissionChecksStrategy={"admissionChecks": [{"name": "multikueue"}]})
        for each in (self.here, self.there):
            each.kubectl("wait", "--for=condition=Active", f"clusterqueue/{name}", "--timeout=60s")

    def __enter__(self) -> Pair:
        return self

    def __exit__(self, *_: object) -> None:
        self.here("delete", "audits,sweeps", "--all")
        for each in (self.here, self.there):
            each.disconnect()

    def away(self, task: str, **result: object) -> Raw:
        """The Job of a task, ended in the other cluster; it has no Pod in this one."""
        self.there.until(lambda: task in self.there.jobs(), f"a Job of {task} in the other cluster")
        job = self.job(task)
        assert job["spec"]["managedBy"] == "kueue.x-k8s.io/multikueue"
        self.there.finish(task, **result)
        self.here.until(lambda: ended(self.job(task)), f"that the Job of {task} has ended there")
        return job

    def job(self, task: str) -> Raw:
        """The Job of a task in this cluster that is in the queue."""
        found = [job for job in self.here.items("jobs") if QUEUE in job["metadata"]["labels"]]
        return next(job for job in found if task in (job["metadata"]["labels"].get("assay.dev/candidate"), kind(job)))

    def reads(self, task: str, **result: object) -> None:
        """The Job that reads a task's answer in this cluster, whose Pod ends."""

        def reading() -> list[Raw]:
            name = f"{self.job(task)['metadata']['name']}-r"
            return [job for job in self.here.items("jobs") if job["metadata"]["name"] == name]

        self.here.until(lambda: bool(reading()), f"a Job that reads the answer of {task}")
        (job,) = reading()
        assert QUEUE not in job["metadata"]["labels"]
        assert "managedBy" not in job["spec"] or job["spec"]["managedBy"] == "kubernetes.io/job-controller"
        with Reader(self.here.kubectl, self.here.name, job) as reader:
            reader.finish(task, **result)


class Reader(Team):
    """The Pod of one Job, ended by hand."""

    def __init__(self, kubectl: Kubectl, name: str, job: Raw) -> None:
        super().__init__(kubectl, name, made=True)
        self.read_by = job

    def job(self, task: str, seconds: float = 0) -> Raw:
        return self.read_by


def kind(job: Raw) -> str:
    return str(job["metadata"]["labels"]["assay.dev/kind"])


def ended(job: Raw) -> bool:
    return any(c["type"] in ("Complete", "Failed") for c in job["status"].get("conditions", ()))


def pods_of(namespace: Namespace, job: Raw) -> list[Raw]:
    name = job["metadata"]["name"]
    return [pod for pod in namespace.items("pods") if pod["metadata"]["labels"].get("job-name") == name]


@pytest.fixture
def pair(clusters: Clusters, operator: Operator) -> Iterator[Pair]:
    with Pair(clusters, f"away-{next(numbers)}") as pair:
        yield pair


def test_an_audit_whose_jobs_run_in_another_cluster(pair: Pair) -> None:
    here, there = pair.here, pair.there
    # No Pod is seen to start here: that is no reason to give anything up.
    here.apply_audit("digits", queued(), pendingDeadlineSeconds=3, **ONE)
    there.until(lambda: bool(there.pod_of(there.job("golden"))), "a Pod in the other cluster")
    here.until(lambda: "runs in another cluster, by kueue.x-k8s.io/multikueue" in here.said(), "where it runs")
    assert here.audit("digits")["status"]["phase"] == "Running"
    answers: dict[str, Raw] = {
        "golden": {"samples": 1}, "fp16": {"verdict": "Passed"},
        "summary": {"verdict": "Passed", "recommendation": "fp16"},
    }  # fmt: skip
    for task, answer in answers.items():
        pair.away(task, report=STORED, **answer)
        pair.reads(task, report=STORED, **answer)
    here.wait("Complete")
    status = here.audit("digits")["status"]
    assert (status["verdict"], status["recommendation"]["candidate"]) == ("Passed", "fp16"), status
    # Each was run once, over there, and read once, over here.
    assert len(here.items("jobs")) == 6
    assert len(here.items("pods")) == 3


def test_what_refuses_its_input_in_another_cluster_says_where_to_look(pair: Pair) -> None:
    pair.here.apply_audit("digits", queued(), **ONE)
    pair.there.until(lambda: bool(pair.there.pod_of(pair.there.job("golden"))), "a Pod in the other cluster")
    pod = pair.there.pod_of(pair.there.job("golden"))
    assert pod is not None
    told = {"exitCode": 64, "reason": "Error", "message": "", "finishedAt": "2026-01-01T00:00:00Z"}
    container = {
        "name": "task", "image": "x", "imageID": "", "ready": False, "restartCount": 0, "state": {"terminated": told},
    }  # fmt: skip
    path = f"{pair.there.path('pods', pod['metadata']['name'])}/status"
    failed = {"phase": "Failed", "containerStatuses": [container]}
    pair.there.kube.request("PATCH", path, {"status": failed}, "application/merge-patch+json")
    pair.here.wait("Stalled")
    said = pair.here.condition("digits", "Stalled")
    assert said["reason"] == "InvalidInput"
    assert "golden: it refused its input: look at the logs of Job digits-golden-" in said["message"]
    assert "in the cluster that kueue.x-k8s.io/multikueue gave it to" in said["message"]


def test_a_sweep_looks_at_its_models_in_another_cluster(pair: Pair) -> None:
    candidates = [{"name": "cpu", "backend": "onnxruntime", "precision": "fp16"}]
    apply_sweep(pair.here, "nightly", queued(), template__candidates=candidates)
    models = [{"name": name, "uri": f"s3://models/{name}.onnx", "inputs": "a" * 16} for name in ("bert", "vit")]
    pair.away("resolve", resolved={"models": models})
    pair.reads("resolve", resolved={"models": models})
    pair.here.until(lambda: sweep_status(pair.here, "nightly").get("models") == 2, "its models")
