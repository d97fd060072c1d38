"""What waits says what for, and goes on by itself; whoever waits for a run is answered about that run."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import pytest

from tests.lab import toolchain
from tests.lab.apiserver import CONTROLLERS, ApiServer, start_controller_manager
from tests.operator.kubelet import Kubelet, report
from tests.operator.lab import Namespace, Operator, Raw, install, running
from tests.operator.test_run import no_jobs

TOKEN = "assay.dev/rerun"


def finish(namespace: Namespace, kubelet: Kubelet) -> None:
    """Have the run of the audit `digits` pass."""
    kubelet.finish(namespace.job("golden"))
    for name in ("fp16", "bf16"):
        kubelet.finish(namespace.job(name), verdict="Passed", report=report(name))
    kubelet.finish(namespace.job("summary"), verdict="Passed", report=report("all"))
    namespace.wait("Complete")


def golden_jobs(namespace: Namespace) -> set[str]:
    jobs = namespace.items("jobs")
    return {job["metadata"]["name"] for job in jobs if job["metadata"]["labels"]["assay.dev/kind"] == "golden"}


def test_who_waits_for_a_token_is_answered_about_its_run(
    operator: Operator, namespace: Namespace, kubelet: Kubelet
) -> None:
    namespace.apply_audit("digits")
    finish(namespace, kubelet)
    first = golden_jobs(namespace)
    for token in ("1767225600", "2026-01-02T03:04:05Z"):
        namespace("annotate", "audit", "digits", f"{TOKEN}={token}", "--overwrite")
        namespace("wait", f"--for=jsonpath={{.status.rerun}}={token}", "audit/digits", "--timeout=60s")
        conditions = {c["type"]: c["status"] for c in namespace.audit("digits")["status"]["conditions"]}
        assert conditions == {
            "Ready": "False", "Reconciling": "True", "Stalled": "False", "Complete": "False", "Passed": "Unknown",
        }  # fmt: skip
        assert "verdict" not in namespace.audit("digits")["status"]
    namespace.until(lambda: len(golden_jobs(namespace) - first) == 1, "the Jobs of the runs before to go")


def test_a_token_that_is_taken_away_asks_for_nothing(
    operator: Operator, namespace: Namespace, kubelet: Kubelet
) -> None:
    namespace.apply_audit("digits", meta={"annotations": {TOKEN: "now"}})
    finish(namespace, kubelet)
    before = namespace.audit("digits")["status"]
    assert before["rerun"] == "now"
    namespace("annotate", "audit", "digits", f"{TOKEN}-")
    namespace("patch", "audit", "digits", "--type=merge", "-p", '{"spec":{"onBreach":"Report"}}')
    namespace.until(lambda: namespace.audit("digits")["status"]["observedGeneration"] == 2, "the change to be seen")
    after = namespace.audit("digits")["status"]
    assert {key: after[key] for key in ("run", "rerun", "verdict", "completionTime")} == {
        key: before[key] for key in ("run", "rerun", "verdict", "completionTime")
    }
    assert len(namespace.items("jobs")) == 4


def test_a_run_that_cannot_begin_yet_is_no_longer_the_one_that_ended(
    operator: Operator, namespace: Namespace, kubelet: Kubelet
) -> None:
    """Its Job is refused, and the verdict of the run before stands nowhere."""
    namespace.apply_audit("digits")
    finish(namespace, kubelet)
    no_jobs(namespace)
    namespace("annotate", "audit", "digits", f"{TOKEN}=again")
    namespace.until(lambda: "exceeded quota" in namespace.condition("digits", "Ready")["message"], "the refusal")
    assert namespace.audit("digits")["status"]["rerun"] == "again"
    assert namespace.condition("digits", "Complete")["status"] == "False"
    namespace.until(lambda: sum(event.startswith("Started") for event in namespace.events()) == 2, "both to be told")


def test_a_token_beyond_measure_is_refused_in_one_sentence(operator: Operator, namespace: Namespace) -> None:
    namespace.apply_audit("digits", meta={"annotations": {TOKEN: "x" * 300}})
    namespace.wait("Stalled")
    assert "assay.dev/rerun has more than 256 characters" in namespace.condition("digits", "Stalled")["message"]


def test_kubectl_shows_why_and_tells_the_story_in_order(
    operator: Operator, namespace: Namespace, kubelet: Kubelet
) -> None:
    namespace.apply_audit("digits")
    kubelet.pod(namespace.job("golden"), phase="Pending", containerStatuses=[waiting('secret "s3" not found')])
    namespace.until(lambda: namespace.condition("digits", "Ready")["reason"] == "ConfigError", "the reason")
    head, line = namespace("get", "audit", "digits").splitlines()
    assert head.split() == ["NAME", "VERDICT", "PHASE", "REASON", "CANDIDATES", "BASELINE", "WORST", "AGE", "MESSAGE"]
    assert "ConfigError" in line
    assert line.endswith('golden: CreateContainerConfigError: secret "s3" not found')
    (task,) = namespace.audit("digits")["status"]["tasks"]
    assert (task["name"], task["state"]) == ("golden", "Pending")
    assert 'secret "s3" not found' in task["message"]
    namespace.until(lambda: len(namespace.events()) >= 3, "the events")
    told = namespace("describe", "audit", "digits")
    assert told.index("Started") < told.index("JobCreated")


def waiting(message: str) -> Raw:
    return {
        "name": "task", "image": "x", "imageID": "", "ready": False, "restartCount": 0,
        "state": {"waiting": {"reason": "CreateContainerConfigError", "message": message}},
    }  # fmt: skip


@pytest.fixture(scope="module")
def controlled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """An API server with its real controllers, that of nodes among them, and an operator."""
    with ApiServer() as api:
        install(api)
        wanted = ",".join((*CONTROLLERS, "node-lifecycle-controller"))
        manager = start_controller_manager(toolchain.kubernetes(), api.folder, api.kubeconfig, api.credentials, wanted)
        api.servers.append(manager)
        with running(api, tmp_path_factory.mktemp("waiting")):
            yield api


def test_a_quota_that_is_used_up_is_told_of_all_at_once(controlled: ApiServer) -> None:
    """By the Job controller's own events; one question a second would take 120 audits twelve minutes."""
    with Namespace(controlled.kubectl, "crowd") as namespace:
        quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "none", "namespace": namespace.name}}
        namespace.kubectl.apply({**quota, "spec": {"hard": {"pods": "0"}}})
        used = '{"status":{"hard":{"pods":"0"},"used":{"pods":"0"}}}'
        namespace("patch", "resourcequota", "none", "--subresource=status", "--type=merge", "-p", used)
        for index in range(120):
            namespace.kube.request("POST", namespace.path("accuracyaudits"), made(f"a{index}"))

        def untold() -> int:
            ready = [c for a in namespace.items("accuracyaudits") for c in a["status"].get("conditions", ())]
            return 120 - sum("exceeded quota" in c["message"] for c in ready if c["type"] == "Ready")

        namespace.until(lambda: untold() == 0, "every audit to say so")


def made(name: str) -> Raw:
    from tests.operator.lab import SPEC

    return {"apiVersion": "assay.dev/v1alpha1", "kind": "AccuracyAudit", "metadata": {"name": name}, "spec": SPEC}


def test_what_is_mended_outside_goes_on_by_itself(controlled: ApiServer) -> None:
    """With no retry to spend: the Job controller itself tries again."""
    with Namespace(controlled.kubectl, "outside") as namespace:
        namespace.apply_audit("digits", backoffLimit=0)
        kubelet, golden = Kubelet(namespace), namespace.job("golden")
        words = "https://s3.example.com does not accept the credentials"
        for again, reason in (("Setup", "ConfigError"), ("Outage", "Retrying")):
            end(namespace, kubelet, golden, 75, error={"reason": "Unavailable", "again": again, "message": words})
            namespace.until(lambda r=reason: namespace.condition("digits", "Ready")["reason"] == r, "the reason")  # type: ignore[misc]
            assert "it is tried again" in namespace.condition("digits", "Ready")["message"]
        end(namespace, kubelet, golden, 0)
        namespace.job("fp16")
        assert [event for event in namespace.events() if event.startswith("Complete")] == []


def end(namespace: Namespace, kubelet: Kubelet, job: Raw, code: int, **result: object) -> None:
    """End the Pod that the Job controller has made, as its kubelet would."""
    name = job["metadata"]["name"]

    def alive() -> list[str]:
        pods = [pod for pod in namespace.items("pods") if pod["metadata"]["labels"]["job-name"] == name]
        return [p["metadata"]["name"] for p in pods if p["status"].get("phase") not in ("Failed", "Succeeded")]

    namespace.until(lambda: len(alive()) == 1, f"a Pod of {name}")
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    message = json.dumps({"task": job["metadata"]["labels"]["assay.dev/task"], **result})
    ended = {"exitCode": code, "reason": "Error", "message": message, "startedAt": now, "finishedAt": now}
    container = {"name": "task", "image": "x", "imageID": "", "ready": False, "restartCount": 0,
                 "state": {"terminated": ended}}  # fmt: skip
    phase = "Failed" if code else "Succeeded"
    kubelet.set_pod(alive()[0], phase=phase, containerStatuses=[container], startTime=now)


def test_a_node_that_falls_silent_is_named(controlled: ApiServer) -> None:
    """By what the real node controller makes of a node that is not heard of any more."""
    with Namespace(controlled.kubectl, "nodes") as namespace:
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        ready = {"type": "Ready", "status": "True", "reason": "KubeletReady", "message": "",
                 "lastHeartbeatTime": now, "lastTransitionTime": now}  # fmt: skip
        node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "worker-7"}}
        namespace.kubectl.apply(node)
        namespace("patch", "node", "worker-7", "--subresource=status", "--type=merge", "-p",
                  json.dumps({"status": {"conditions": [ready]}}))  # fmt: skip
        namespace.apply_audit("digits")
        golden = namespace.job("golden")
        name = golden["metadata"]["name"]
        namespace.until(lambda: bool(pods_of(namespace, name)), "its Pod")
        (pod,) = pods_of(namespace, name)
        binding = {"apiVersion": "v1", "kind": "Binding", "metadata": {"name": pod}, "target": {"name": "worker-7"}}
        namespace.kube.request("POST", f"{namespace.path('pods', pod)}/binding", binding)
        container = {"name": "task", "image": "x", "imageID": "", "ready": True, "restartCount": 0,
                     "state": {"running": {"startedAt": now}}}  # fmt: skip
        Kubelet(namespace).set_pod(
            pod, phase="Running", startTime=now, containerStatuses=[container],
            conditions=[{"type": "Ready", "status": "True", "lastTransitionTime": now}],
        )  # fmt: skip
        namespace.until(lambda: namespace.condition("digits", "Ready")["reason"] == "Running", "it to run")
        namespace.until(lambda: namespace.condition("digits", "Ready")["reason"] == "NodeLost", "the reason", 180)
        assert "golden: its node worker-7 does not answer" in namespace.condition("digits", "Ready")["message"]
        namespace.until(lambda: any(event.startswith("NodeLost") for event in namespace.events()), "the event")


def pods_of(namespace: Namespace, job: str) -> list[str]:
    pods = namespace.items("pods")
    return [pod["metadata"]["name"] for pod in pods if pod["metadata"]["labels"]["job-name"] == job]
