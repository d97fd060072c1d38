"""Audits in the queues of a real Kueue: held until they are admitted, told in its own words, evicted without a loss."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from assay_operator.objects.queued import INACTIVE
from tests.kueue.lab import Kueue
from tests.lab.apiserver import ApiServer
from tests.operator.lab import Namespace, Operator, Raw, install, running, task_of
from tests.operator.screenings import PRODUCT, show
from tests.operator.screenings import apply as apply_screening
from tests.operator.screenings import condition as screening_condition
from tests.operator.screenings import status as screening_status
from tests.operator.screenings import task_of as screening_task
from tests.operator.sweeps import apply as apply_sweep
from tests.operator.sweeps import audits as audits_of

QUEUE = "kueue.x-k8s.io/queue-name"
PRIORITY = "kueue.x-k8s.io/priority-class"
API = "kueue.x-k8s.io/v1beta2"
ONE = {"candidates": [{"name": "fp16", "backend": "onnxruntime", "precision": "fp16"}]}
numbers = count(1)


@pytest.fixture(scope="module")
def api() -> Iterator[ApiServer]:
    """An API server with the Job controller, and Kueue beside it."""
    with ApiServer(controllers=True) as server:
        install(server)
        with Kueue(server):
            server.kubectl.apply({"apiVersion": API, "kind": "ResourceFlavor", "metadata": {"name": "default"}})
            for name, value in (("low", 10), ("high", 1000)):
                meta = {"name": name}
                server.kubectl.apply(
                    {"apiVersion": API, "kind": "WorkloadPriorityClass", "metadata": meta, "value": value}
                )
            yield server


@pytest.fixture(scope="module")
def operator(api: ApiServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operator]:
    with running(api, tmp_path_factory.mktemp("operator"), ASSAY_PROGRESS_SECONDS="0.5") as operator:
        yield operator


class Team(Namespace):
    """A namespace with a queue of its own; its Pods are ended by hand."""

    def quota(self, cpu: str, name: str = "team", **spec: Any) -> None:
        resources = [{"name": "cpu", "nominalQuota": cpu}, {"name": "memory", "nominalQuota": "64Gi"}]
        group = {"coveredResources": ["cpu", "memory"], "flavors": [{"name": "default", "resources": resources}]}
        whole = {
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": self.name}},
            "resourceGroups": [group],
            "preemption": {"withinClusterQueue": "LowerPriority"},
            **spec,
        }
        self.kubectl.apply({"apiVersion": API, "kind": "ClusterQueue", "metadata": {"name": self.name}, "spec": whole})
        meta = {"name": name, "namespace": self.name}
        queue = {"apiVersion": API, "kind": "LocalQueue", "metadata": meta, "spec": {"clusterQueue": self.name}}
        self.kubectl.apply(queue)

    def jobs(self) -> dict[str, Raw]:
        return {key_of(job): job for job in self.items("jobs") if "assay.dev/kind" in job["metadata"]["labels"]}

    def said(self, audit: str = "digits", kind: str = "Ready") -> str:
        return str(self.condition(audit, kind).get("message"))

    def workload(self, job: Raw) -> Raw:
        """What Kueue keeps of a Job."""
        listed = json.loads(self("get", "workloads.kueue.x-k8s.io", "--output=json"))["items"]
        uid = job["metadata"]["uid"]
        return next((w for w in listed if w["metadata"]["labels"].get("kueue.x-k8s.io/job-uid") == uid), {})

    def kueue_says(self, job: Raw) -> str:
        conditions = self.workload(job).get("status", {}).get("conditions", [])
        return next((c["message"] for c in conditions if c["type"] == "QuotaReserved" and c["status"] == "False"), "")

    def pod_of(self, job: Raw) -> Raw | None:
        pods = [p for p in self.items("pods") if p["metadata"]["labels"].get("job-name") == job["metadata"]["name"]]
        return next((pod for pod in pods if "deletionTimestamp" not in pod["metadata"]), None)

    def finish(self, task: str, **result: Any) -> None:
        """End a task's Pod, which Kueue's admission has brought about."""
        self.until(lambda: bool(self.pod_of(self.job(task))), f"a Pod of {task}")
        job = self.job(task)
        pod = self.pod_of(job)
        assert pod is not None
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        told = {"task": job["metadata"]["labels"]["assay.dev/task"], **result}
        ended = {"exitCode": 0, "reason": "Completed", "message": json.dumps(told), "startedAt": now, "finishedAt": now}
        container = {
            "name": "task", "image": "x", "imageID": "", "ready": False, "restartCount": 0,
            "state": {"terminated": ended},
        }  # fmt: skip
        status = {"phase": "Succeeded", "startTime": now, "containerStatuses": [container]}
        path = f"{self.path('pods', pod['metadata']['name'])}/status"
        self.kube.request("PATCH", path, {"status": status}, "application/merge-patch+json")

    def finish_all(self, audit: str = "digits") -> None:
        stored = {"uri": "s3://audits/x/report.json", "sha256": "ab" * 32}
        self.finish("golden", report=stored, samples=1)
        self.finish("fp16", report=stored, verdict="Passed")
        self.finish("summary", report=stored, verdict="Passed", recommendation="fp16")
        self.wait("Complete", f"audit/{audit}")


def key_of(job: Raw) -> str:
    """The task of a Job; of a screening's with its node."""
    return screening_task(job).key if task_of(job) == "screen" else task_of(job)


@pytest.fixture
def team(api: ApiServer, operator: Operator) -> Iterator[Team]:
    team = Team(api.kubectl, f"team-{next(numbers)}")
    with team:
        yield team
        team("delete", "audits,sweeps,screenings", "--all")


def queued(name: str = "team", priority: str = "") -> Raw:
    return {"labels": {QUEUE: name} | ({PRIORITY: priority} if priority else {})}


def test_an_audit_is_held_until_kueue_admits_it_and_comes_to_its_end(team: Team) -> None:
    team.quota("4", stopPolicy="Hold")
    team.apply_audit("digits", queued(), **ONE)
    golden = team.job("golden")
    assert golden["spec"]["suspend"] is True
    team.until(lambda: bool(team.kueue_says(team.job("golden"))), "Kueue's words")
    team.until(lambda: team.kueue_says(golden) in team.said(), "the same in the audit's condition")
    assert team.pod_of(golden) is None
    team.quota("4", stopPolicy="None")
    team.finish_all()
    passed = team.condition("digits", "Passed")
    assert passed["status"] == "True", passed


def test_a_quota_too_small_is_told_in_kueues_words_and_never_as_a_pod_that_did_not_start(team: Team) -> None:
    team.quota("100m")
    team.apply_audit("digits", queued(), pendingDeadlineSeconds=2, **ONE)
    golden = team.job("golden")
    team.until(lambda: bool(team.kueue_says(golden)), "Kueue's words")
    words = " ".join(team.kueue_says(golden).split())
    assert "insufficient quota for cpu" in words
    team.until(lambda: f"golden: queued in team: {words}" == team.said(), "the same in the audit's condition")
    assert team.audit("digits")["status"]["tasks"][0]["message"].endswith(words)
    time.sleep(5)
    # Long after pendingDeadlineSeconds: no Pod was promised, so none is missed.
    told = json.dumps(team.audit("digits")["status"])
    assert "never started" not in told
    assert team.audit("digits")["status"]["phase"] == "Pending"
    assert not [line for line in team.events() if line.startswith(("Unschedulable", "Failed"))]
    team.quota("4")
    team.finish_all()


def test_a_queue_that_is_not_there_is_a_mistake_until_it_is(team: Team) -> None:
    team.apply_audit("digits", queued("taem"), pendingDeadlineSeconds=600, **ONE)
    golden = team.job("golden")
    team.until(lambda: "LocalQueue taem doesn't exist" in team.kueue_says(golden), "Kueue's words")
    team.until(lambda: team.condition("digits", "Ready")["reason"] == "ConfigError", "the reason")
    assert "golden: queued in taem: LocalQueue taem doesn't exist" in team.said()
    team.quota("4", name="taem")
    team.finish_all()


def test_one_that_waits_for_its_turn_says_so_and_gets_it(team: Team) -> None:
    team.quota("300m")
    team.apply_audit("first", queued(), **ONE)
    team.until(lambda: bool(team.pod_of(team.job("golden"))), "the first one's Pod")
    team.apply_audit("second", queued(), **ONE)
    team.until(lambda: "insufficient unused quota for cpu" in team.said("second"), "Kueue's words")
    team("delete", "audit", "first")
    team.until(lambda: team.condition("second", "Ready").get("message", "").startswith("Making"), "its turn", 120)


def test_an_audit_that_kueue_evicts_says_so_and_goes_on_where_it_was(team: Team) -> None:
    team.quota("300m")
    team.apply_audit("digits", queued(priority="low"), backoffLimit=0, **ONE)
    assert team.job("golden")["metadata"]["labels"][PRIORITY] == "low"
    team.until(lambda: bool(team.pod_of(team.job("golden"))), "a Pod")
    golden = team.job("golden")
    assert team.workload(golden)["spec"]["priority"] == 10
    urgent = busy(team, "urgent", "high")
    team.until(lambda: team.job("golden")["spec"]["suspend"] is True, "the eviction")
    # Told for as long as it waits, beside what it waits for.
    evicted = "golden: queued in team: Preempted to accommodate a workload"
    waits = "insufficient unused quota for cpu"
    team.until(lambda: team.said().startswith(evicted) and waits in team.said(), "that it was preempted")
    assert team.condition("digits", "Ready")["reason"] == "Pending"
    assert team.condition("digits", "Ready")["message"].startswith("golden: queued in team: ")
    team("delete", "job", urgent)
    team.finish_all()
    assert team.condition("digits", "Passed")["status"] == "True"
    # The same Job, and no retry spent though it had none.
    assert team.jobs() == {} or team.jobs()["golden"]["metadata"]["uid"] == golden["metadata"]["uid"]
    assert "retries" not in json.dumps(team.audit("digits")["status"])


def test_one_that_somebody_deactivates_says_so_and_goes_on_when_it_is_active_again(team: Team) -> None:
    team.quota("4")
    team.apply_audit("digits", queued(), **ONE)
    team.until(lambda: bool(team.pod_of(team.job("golden"))), "a Pod")
    name = team.workload(team.job("golden"))["metadata"]["name"]
    team("patch", "workload", name, "--type=merge", "-p", '{"spec":{"active":false}}')
    team.until(lambda: INACTIVE in team.said(), "that it is inactive")
    assert team.condition("digits", "Ready")["reason"] == "ConfigError"
    team("patch", "workload", name, "--type=merge", "-p", '{"spec":{"active":true}}')
    team.finish_all()
    assert "retries" not in json.dumps(team.audit("digits")["status"])


def test_a_sweep_passes_queue_and_priority_on_to_all_of_its_jobs(team: Team) -> None:
    team.quota("8")
    apply_sweep(team, "nightly", queued(priority="high"))
    look = sweeps_job(team)
    team.until(lambda: team.workload(look()).get("spec", {}).get("priority") == 1000, "its Workload")
    models = [{"name": name, "uri": f"s3://models/{name}.onnx", "inputs": "a" * 16} for name in ("bert", "vit")]
    team.finish("resolve", resolved={"models": models})
    team.until(lambda: len(audits_of(team, "nightly")) > 0, "its audits")
    for audit in audits_of(team, "nightly").values():
        labels = audit["metadata"]["labels"]
        assert (labels[QUEUE], labels[PRIORITY]) == ("team", "high")


def test_a_screening_waits_in_a_queue_node_by_node_and_says_so(team: Team, api: ApiServer, tmp_path: Path) -> None:
    gpu = {"name": "nvidia.com/gpu", "nominalQuota": "8"}
    resources = [{"name": "cpu", "nominalQuota": "8"}, {"name": "memory", "nominalQuota": "64Gi"}, gpu]
    flavors = [{"name": "default", "resources": resources}]
    names = [each["name"] for each in resources]
    team.quota("8", resourceGroups=[{"coveredResources": names, "flavors": flavors}])
    nodes = (f"{team.name}-a", f"{team.name}-b")
    for node in nodes:
        show(api, node, 8, labels={"set": team.name})
    spec = {"target": {"gpuProducts": [PRODUCT], "nodeSelector": {"set": team.name}}}
    apply_screening(team, tmp_path / "x.onnx", tmp_path / "artifacts", queued(priority="low"), **spec)

    def said() -> str:
        return str(screening_condition(team, "Ready").get("message"))

    def screens(node: str) -> str:
        return f"screen@{node}"

    # The quota is that of one node.
    team.until(lambda: len(team.jobs()) == 2, "a Job for each node")
    team.until(lambda: any(team.pod_of(job) for job in team.jobs().values()), "the first one's Pod")
    first, second = sorted(nodes, key=lambda node: team.pod_of(team.job(screens(node))) is None)
    assert team.job(screens(second))["spec"]["suspend"] is True
    words = f"is queued in team: {team_words(team, screens(second))}"
    team.until(lambda: words in json.dumps(screening_status(team).get("unscanned")), "why the second waits")
    assert "insufficient unused quota for nvidia.com/gpu" in words
    for node in (first, second):
        team.finish(screens(node), screened={"node": node, "devices": 8})
    team.until(lambda: "compare" in team.jobs(), "the comparison")
    team.finish("compare", verdict="Passed", fleet={"scanned": 16})
    team.until(lambda: screening_status(team).get("verdict") == "Passed", f"the end, not {said()}")
    api.kubectl("delete", "node", *nodes)


def team_words(team: Team, task: str) -> str:
    """What Kueue says of a task's Job, once it says it."""
    team.until(lambda: bool(team.kueue_says(team.job(task))), "Kueue's words")
    return " ".join(team.kueue_says(team.job(task)).split())


def sweeps_job(team: Team) -> Callable[[], Raw]:
    def look() -> Raw:
        return team.job("resolve")

    return look


def busy(team: Team, name: str, priority: str) -> str:
    """A Job of somebody else's in the same queue."""
    container = {"name": "x", "image": "x", "resources": {"requests": {"cpu": "250m", "memory": "64Mi"}}}
    template = {"spec": {"restartPolicy": "Never", "containers": [container]}}
    meta = {"name": name, "namespace": team.name, **queued(priority=priority)}
    spec = {"suspend": True, "template": template}
    team.kubectl.apply({"apiVersion": "batch/v1", "kind": "Job", "metadata": meta, "spec": spec})
    return name
