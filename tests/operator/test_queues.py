"""Audits in queues of Kueue's: Jobs and Workloads are real objects of a real API server, Kueue is played by hand."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from assay_operator.objects.queued import INACTIVE, NO_KUEUE, NO_WORKLOAD, Queued, said_by
from tests.lab.apiserver import ApiServer
from tests.lab.discovery import defined
from tests.operator.kubelet import Kubelet, report
from tests.operator.lab import Namespace, Operator, Raw, running

NOW = datetime(2026, 1, 1, tzinfo=UTC)
QUEUE = "kueue.x-k8s.io/queue-name"
# As Kueue's own, as far as anything here looks at it.
DEFINITION: Raw = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {
        "name": "workloads.kueue.x-k8s.io",
        "annotations": {"api-approved.kubernetes.io": "https://github.com/kubernetes-sigs/kueue/pull/2"},
    },
    "spec": {
        "group": "kueue.x-k8s.io",
        "scope": "Namespaced",
        "names": {"kind": "Workload", "listKind": "WorkloadList", "plural": "workloads", "singular": "workload"},
        "versions": [
            {
                "name": name, "served": True, "storage": name == "v1beta2", "subresources": {"status": {}},
                "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}},
            }
            for name in ("v1beta1", "v1beta2")
        ],
    },
}  # fmt: skip


@pytest.fixture
def quick(bare_api: ApiServer, namespace: Namespace, folder: Path) -> Iterator[Operator]:
    with running(bare_api, folder, ASSAY_PROGRESS_SECONDS="0.5", ASSAY_NAMESPACES=namespace.name) as operator:
        yield operator


@pytest.fixture
def kueue(bare_api: ApiServer) -> Iterator[None]:
    with defined(bare_api.kubectl, DEFINITION):
        yield


def say(namespace: Namespace, job: Raw, status: str, reason: str, message: str) -> None:
    """What Kueue writes into the Workload of a Job."""
    labels = {"kueue.x-k8s.io/job-uid": job["metadata"]["uid"]}
    meta = {"name": f"job-{job['metadata']['name']}", "namespace": namespace.name, "labels": labels}
    workload: Raw = {"apiVersion": "kueue.x-k8s.io/v1beta2", "kind": "Workload", "metadata": meta, "spec": {}}
    namespace.kubectl.apply(workload)
    condition = {"type": "QuotaReserved", "status": status, "reason": reason, "message": message}
    path = f"/apis/kueue.x-k8s.io/v1beta2/namespaces/{namespace.name}/workloads/{meta['name']}/status"
    namespace.kube.request("PATCH", path, {"status": {"conditions": [condition]}}, "application/merge-patch+json")


def said(namespace: Namespace) -> str:
    return str(namespace.condition("digits", "Ready").get("message"))


def test_an_audit_in_a_queue_says_what_kueue_says_and_goes_on_when_kueue_starts_it(
    kueue: None, quick: Operator, namespace: Namespace, kubelet: Kubelet
) -> None:
    # Long enough for a Pod to be seen before it is said how it ended.
    namespace.apply_audit("digits", {"labels": {QUEUE: "team"}}, pendingDeadlineSeconds=4)
    job = namespace.job("golden")
    assert job["spec"]["suspend"] is True
    assert job["metadata"]["labels"][QUEUE] == "team"
    say(namespace, job, "False", "Pending", "insufficient unused quota for cpu, 3 more needed")
    namespace.until(
        lambda: said(namespace) == "golden: queued in team: insufficient unused quota for cpu, 3 more needed", "words"
    )
    # For room it waits as long as it takes.
    assert namespace.audit("digits")["status"]["phase"] == "Pending"
    assert namespace.condition("digits", "Ready")["reason"] == "Pending"
    say(namespace, job, "True", "QuotaReserved", "Quota reserved in ClusterQueue all")
    # As the Job controller has it until it sees that Kueue has started the Job.
    held = {
        "type": "Suspended",
        "status": "True",
        "reason": "JobSuspended",
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }
    kubelet.set_job(job["metadata"]["name"], conditions=[held])
    namespace("patch", "job", job["metadata"]["name"], "--type=merge", "-p", '{"spec":{"suspend":false}}')
    kubelet.finish(namespace.jobs()["golden"], report=report("golden"))
    namespace.until(lambda: {"fp16", "bf16"} <= set(namespace.jobs()), "the candidates' Jobs")
    assert all(namespace.jobs()[name]["spec"]["suspend"] for name in ("fp16", "bf16"))


def test_a_queue_that_is_not_there_is_waited_for_no_longer_than_anything_else(
    kueue: None, quick: Operator, namespace: Namespace
) -> None:
    namespace.apply_audit("digits", {"labels": {QUEUE: "taem"}}, pendingDeadlineSeconds=8)
    say(namespace, namespace.job("golden"), "False", "Inadmissible", "LocalQueue taem doesn't exist")
    namespace.until(lambda: said(namespace) == "golden: queued in taem: LocalQueue taem doesn't exist", "words")
    assert namespace.condition("digits", "Ready")["reason"] == "ConfigError"
    namespace.wait("Stalled")
    assert said(namespace).endswith("(waited 8 s, spec.pendingDeadlineSeconds)")
    namespace.until(lambda: namespace.jobs() == {}, "its Job to go")


def test_a_queue_that_comes_in_time_lets_the_audit_go_on(kueue: None, quick: Operator, namespace: Namespace) -> None:
    namespace.apply_audit("digits", {"labels": {QUEUE: "team"}}, pendingDeadlineSeconds=60)
    job = namespace.job("golden")
    say(namespace, job, "False", "Inadmissible", "LocalQueue team doesn't exist")
    namespace.until(lambda: "doesn't exist" in said(namespace), "words")
    say(namespace, job, "False", "Pending", "waiting for its turn")
    namespace.until(lambda: said(namespace) == "golden: queued in team: waiting for its turn", "other words")
    assert namespace.condition("digits", "Ready")["reason"] == "Pending"


def test_without_kueue_a_queue_is_a_mistake_that_is_named(quick: Operator, namespace: Namespace) -> None:
    namespace.apply_audit("digits", {"labels": {QUEUE: "team"}}, pendingDeadlineSeconds=3)
    namespace.wait("Stalled")
    assert f"golden: queued in team: {NO_KUEUE}" in said(namespace)
    assert quick.metric('assay_reconciles_total{result="exception"}') == 0


def workload(status: str = "False", reason: str = "Pending", message: str = "no room", **spec: Any) -> Raw:
    condition = {"type": "QuotaReserved", "status": status, "reason": reason, "message": message}
    return {"spec": spec, "status": {"conditions": [condition]}}


def evicted(found: Raw, status: str = "True") -> Raw:
    told = {
        "type": "Evicted",
        "status": status,
        "reason": "Preempted",
        "message": "Preempted to accommodate a workload",
    }
    found["status"]["conditions"].append(told)
    return found


@pytest.mark.parametrize(
    ("found", "kueue", "message", "stuck"),
    [
        (None, False, NO_KUEUE, True),
        (None, True, NO_WORKLOAD, True),
        ({}, True, "", False),
        (workload(), True, "no room", False),
        (workload("True"), True, "", False),
        (workload(reason="Inadmissible"), True, "no room", True),
        (workload("True", "Inadmissible"), True, "", False),
        (workload(reason="ExceedsMaxQuota"), True, "no room", True),
        (workload(active=False), True, INACTIVE, True),
        (evicted(workload()), True, "Preempted to accommodate a workload; no room", False),
        # Kueue says it of both at first; one that has a place again was evicted before, which is over.
        (
            evicted(workload(message="Preempted to accommodate a workload")),
            True,
            "Preempted to accommodate a workload",
            False,
        ),
        (evicted(workload("True"), "False"), True, "", False),
    ],
)
def test_what_a_workload_says(found: Raw | None, kueue: bool, message: str, stuck: bool) -> None:
    assert said_by(found, kueue=kueue, now=NOW) == Queued(message, stuck, NOW)


def test_it_is_stuck_since_it_was_first_seen_so() -> None:
    later = NOW + timedelta(minutes=5)
    first = Queued("LocalQueue team doesn't exist", True, NOW)
    assert Queued("ClusterQueue all is inactive", True, later).after(first).since == NOW
    assert Queued("no room", False, later).after(first).since == later
    assert first.after(None) == first


def test_what_another_carries_out_is_left_alone_until_it_is_given_back(quick: Operator, namespace: Namespace) -> None:
    namespace.apply_audit("digits", managedBy="kueue.x-k8s.io/multikueue")
    namespace.apply_audit("ours", managedBy="assay.dev/operator")
    namespace.until(lambda: bool(namespace.jobs()), "the Job of ours")
    assert namespace.audit("digits").get("status") in (None, {"observedGeneration": -1})
    assert {job["metadata"]["labels"]["assay.dev/audit"] for job in namespace.items("jobs")} == {"ours"}
    namespace("patch", "audit", "digits", "--type=merge", "-p", '{"spec":{"managedBy":null}}')
    namespace.until(lambda: len(namespace.items("jobs")) == 2, "the Job of digits")
