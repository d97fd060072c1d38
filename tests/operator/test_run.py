"""One audit from `kubectl apply` to its verdict, told by what the API server holds."""

from __future__ import annotations

import json

import pytest

from tests.operator.kubelet import Kubelet, report
from tests.operator.lab import Namespace, Operator, Raw, task_of

WORST = {
    "candidate": "bf16", "check": "finite", "message": "Inf first appears in /block1/Mul_output_0",
    "tensor": "/block1/Mul_output_0", "metric": "nonFinite", "value": "12", "limit": "0",
}  # fmt: skip


def finish_candidates(namespace: Namespace, kubelet: Kubelet, verdicts: dict[str, str]) -> None:
    kubelet.finish(namespace.job("golden"), message="golden outputs of 360 samples")
    for name, verdict in verdicts.items():
        worst: Raw = {"worst": {**WORST, "candidate": name}} if verdict == "Failed" else {}
        kubelet.finish(namespace.job(name), verdict=verdict, report=report(name), latencyMs="1.25", **worst)


def test_a_run_that_passes(operator: Operator, namespace: Namespace, kubelet: Kubelet) -> None:
    namespace.apply_audit("digits")
    golden = namespace.job("golden")
    assert list(namespace.jobs()) == ["golden"]
    assert golden["metadata"]["ownerReferences"][0]["uid"] == namespace.audit("digits")["metadata"]["uid"]
    finish_candidates(namespace, kubelet, {"fp16": "Passed", "bf16": "Passed"})
    kubelet.finish(
        namespace.job("summary"), verdict="Passed", recommendation="fp16", message="the fastest", report=report("all")
    )
    namespace.wait("Complete")
    audit = namespace.audit("digits")
    status = audit["status"]
    assert status["verdict"] == "Passed"
    assert status["phase"] == "Complete"
    assert status["observedGeneration"] == audit["metadata"]["generation"]
    assert status["recommendation"] == {"candidate": "fp16", "message": "the fastest"}
    assert status["report"]["sha256"] == "ab" * 32
    assert {c["type"]: c["status"] for c in status["conditions"]} == {
        "Ready": "True", "Reconciling": "False", "Stalled": "False", "Complete": "True", "Passed": "True",
    }  # fmt: skip
    namespace.until(lambda: any("ship fp16" in event for event in namespace.events()), "the last event")
    told = namespace.events()
    assert sum(event.startswith("JobCreated") for event in told) == 4
    assert sum(event.startswith("Started") for event in told) == 1
    assert "managedFields" not in json.dumps(audit["spec"])
    assert "finalizers" not in audit["metadata"]
    assert not any("kopf" in key for key in audit["metadata"].get("annotations", {}))


def test_a_breach_stalls_and_report_mode_does_not(operator: Operator, namespace: Namespace, kubelet: Kubelet) -> None:
    namespace.apply_audit("digits")
    finish_candidates(namespace, kubelet, {"fp16": "Passed", "bf16": "Failed"})
    kubelet.finish(namespace.job("summary"), verdict="Failed", report=report("all"))
    namespace.wait("Stalled")
    assert namespace.condition("digits", "Complete")["reason"] == "Breached"
    assert namespace.condition("digits", "Passed")["status"] == "False"
    assert "/block1/Mul_output_0" in namespace.audit("digits")["status"]["worst"]
    jobs = set(namespace.jobs())
    namespace("patch", "audit", "digits", "--type=merge", "-p", '{"spec":{"onBreach":"Report"}}')
    namespace.wait("Ready")
    assert namespace.condition("digits", "Stalled")["status"] == "False"
    assert namespace.audit("digits")["status"]["verdict"] == "Failed"
    assert set(namespace.jobs()) == jobs


def test_wrong_input_ends_the_run_at_once(operator: Operator, namespace: Namespace, kubelet: Kubelet) -> None:
    namespace.apply_audit("digits")
    sentence = "s3://models/digits.onnx is not an ONNX model"
    kubelet.finish(namespace.job("golden"), code=64, error={"reason": "InvalidInput", "message": sentence})
    namespace.wait("Stalled")
    assert namespace.condition("digits", "Complete")["reason"] == "InvalidInput"
    assert sentence in namespace.condition("digits", "Stalled")["message"]
    assert list(namespace.jobs()) == ["golden"]


def test_a_spec_that_admission_could_not_judge_stalls(operator: Operator, namespace: Namespace) -> None:
    namespace.apply_audit("digits", artifacts={"uri": "file:///out"})
    namespace.wait("Stalled")
    assert namespace.condition("digits", "Stalled")["reason"] == "InvalidInput"
    assert "use s3://" in namespace.condition("digits", "Stalled")["message"]
    assert namespace.jobs() == {}


def test_no_more_than_max_parallel(operator: Operator, namespace: Namespace, kubelet: Kubelet) -> None:
    names = [f"c{i}" for i in range(5)]
    candidates = [{"name": name, "backend": "onnxruntime", "precision": "fp16"} for name in names]
    namespace.apply_audit("digits", candidates=candidates)
    kubelet.finish(namespace.job("golden"))
    done: set[str] = set()
    while len(done) < len(names):
        namespace.until(lambda: len(set(namespace.jobs()) & set(names) - done) > 0, "another Job")
        active = set(namespace.jobs()) & set(names) - done
        assert len(active) <= 2
        name = sorted(active)[0]
        kubelet.finish(namespace.jobs()[name], verdict="Passed")
        done.add(name)
    namespace.job("summary")


def test_a_changed_spec_is_a_new_run_and_metadata_is_not(
    operator: Operator, namespace: Namespace, kubelet: Kubelet
) -> None:
    namespace.apply_audit("digits")
    first = namespace.job("golden")["metadata"]["name"]
    run = namespace.run("digits")
    namespace("label", "audit", "digits", "team=vision")
    namespace.apply_audit("digits", meta={"labels": {"team": "vision"}}, maxParallel=1)
    namespace.until(lambda: namespace.audit("digits")["status"]["observedGeneration"] == 2, "the new generation")
    assert namespace.audit("digits")["status"]["run"] == run
    namespace.apply_audit("digits", dataset={"uri": "s3://datasets/other/"})
    namespace.until(lambda: namespace.audit("digits")["status"].get("run") != run, "a new run")
    namespace.until(lambda: first not in namespace("get", "jobs", "-o", "name"), "the superseded Job to go")
    second = namespace.job("golden")["metadata"]["name"]
    assert second != first
    namespace("annotate", "audit", "digits", "assay.dev/rerun=now")
    namespace.until(lambda: namespace.job("golden")["metadata"]["name"] != second, "a run asked for")


def test_suspend_holds_and_resumes_the_jobs(operator: Operator, namespace: Namespace) -> None:
    namespace.apply_audit("digits")
    namespace.job("golden")
    namespace("patch", "audit", "digits", "--type=merge", "-p", '{"spec":{"suspend":true}}')
    namespace.until(lambda: namespace.jobs()["golden"]["spec"]["suspend"] is True, "the Job to be suspended")
    namespace.until(lambda: namespace.audit("digits")["status"]["phase"] == "Suspended", "the phase")
    namespace("patch", "audit", "digits", "--type=merge", "-p", '{"spec":{"suspend":false}}')
    namespace.until(lambda: namespace.jobs()["golden"]["spec"]["suspend"] is False, "the Job to be resumed")


def test_a_queued_job_is_left_to_kueue(operator: Operator, namespace: Namespace) -> None:
    namespace.apply_audit("digits", meta={"labels": {"kueue.x-k8s.io/queue-name": "gpus"}})
    job = namespace.job("golden")
    assert job["spec"]["suspend"] is True
    assert job["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "gpus"
    namespace("patch", "audit", "digits", "--type=merge", "-p", '{"spec":{"suspend":true}}')
    namespace.until(lambda: namespace.audit("digits")["status"]["phase"] == "Suspended", "the phase")
    namespace("patch", "audit", "digits", "--type=merge", "-p", '{"spec":{"suspend":false}}')
    namespace.until(lambda: namespace.audit("digits")["status"]["phase"] == "Pending", "the phase")
    assert namespace.jobs()["golden"]["spec"]["suspend"] is True


@pytest.mark.parametrize(
    ("status", "reason", "words"),
    [
        (
            {"phase": "Pending", "conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable",
             "message": "0/1 nodes are available: 1 Insufficient memory."}]},
            "Unschedulable", "Insufficient memory",
        ),
        (
            {"phase": "Pending", "containerStatuses": [{"name": "task", "image": "x", "imageID": "", "ready": False,
             "restartCount": 0, "state": {"waiting": {"reason": "ErrImagePull", "message": "manifest unknown"}}}]},
            "ImageUnavailable", "manifest unknown",
        ),
        (
            {"phase": "Pending", "containerStatuses": [{"name": "task", "image": "x", "imageID": "", "ready": False,
             "restartCount": 0, "state": {"waiting": {"reason": "CreateContainerConfigError",
             "message": 'secret "s3" not found'}}}]},
            "ConfigError", 'secret "s3" not found',
        ),
    ],
)  # fmt: skip
def test_a_pod_that_does_not_start_is_told_at_once_and_given_up_in_the_end(
    operator: Operator, namespace: Namespace, kubelet: Kubelet, status: Raw, reason: str, words: str
) -> None:
    namespace.apply_audit("digits")
    first = namespace.job("golden")
    kubelet.pod(first, **status)
    namespace.until(lambda: namespace.condition("digits", "Reconciling").get("reason") == reason, reason)
    assert words in namespace.condition("digits", "Ready")["message"]
    given_up_after(namespace, 4)
    namespace.until(lambda: namespace.job("golden")["metadata"]["uid"] != first["metadata"]["uid"], "the Job anew")
    kubelet.pod(namespace.job("golden"), **status)
    namespace.wait("Stalled")
    assert namespace.condition("digits", "Stalled")["reason"] == reason
    assert words in namespace.condition("digits", "Stalled")["message"]
    namespace.until(lambda: namespace.jobs() == {}, "the Job to go")
    # A Pod that waits for the room of other audits' Pods is no warning; the end tells in any case what was wrong.
    namespace.until(lambda: any(words in event for event in namespace.events()), "an event")


def given_up_after(namespace: Namespace, seconds: int) -> None:
    """In another run: what is given up so soon may be before anybody has seen what it waits for."""
    namespace.apply_audit("digits", pendingDeadlineSeconds=seconds)


def test_an_answer_that_went_is_asked_for_again(operator: Operator, namespace: Namespace, kubelet: Kubelet) -> None:
    namespace.apply_audit("digits")
    golden = namespace.job("golden")
    kubelet.end(golden, "not an answer")
    namespace.until(lambda: len(namespace.items("jobs")) == 2, "a recovery Job")
    name = f"{golden['metadata']['name']}-r"
    recovery = namespace.read("jobs", name)
    env = {e["name"]: e.get("value") for e in recovery["spec"]["template"]["spec"]["containers"][0]["env"]}
    task = {e["name"]: e.get("value") for e in golden["spec"]["template"]["spec"]["containers"][0]["env"]}
    assert env["ASSAY_TASK"] == task["ASSAY_TASK"]
    kubelet.finish(recovery, message="found again")
    assert task_of(namespace.job("fp16")) == "fp16"


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ({"nodeSelector": {"bad key!": "x"}}, "bad key!"),
        ({"resources": {"Not A Resource": 1}}, "Not A Resource"),
        ({"priorityClassName": "Bad Name"}, "priorityClassName"),
    ],
)
def test_a_job_that_cannot_be_made_ends_the_run_at_once(
    operator: Operator, namespace: Namespace, target: dict[str, object], words: str
) -> None:
    namespace.apply_audit("digits", target=target)
    namespace.wait("Stalled")
    complete = namespace.condition("digits", "Complete")
    assert (complete["status"], complete["reason"]) == ("True", "InvalidInput")
    assert complete["message"].startswith("golden: its Job was refused: Job.batch")
    assert words in complete["message"]
    before = operator.metric('assay_reconciles_total{result="refused"')
    namespace.apply_audit("digits")
    namespace.job("golden")
    namespace.until(lambda: namespace.condition("digits", "Stalled")["status"] == "False", "the new run in the status")
    assert operator.metric('assay_reconciles_total{result="refused"') == before


def test_a_job_refused_for_too_long_stalls(operator: Operator, namespace: Namespace) -> None:
    no_jobs(namespace)
    namespace.apply_audit("digits")
    namespace.until(lambda: namespace.condition("digits", "Ready").get("reason") == "ConfigError", "the refusal")
    assert namespace.condition("digits", "Stalled")["status"] == "False"
    given_up_after(namespace, 1)
    namespace.wait("Stalled")
    stalled = namespace.condition("digits", "Stalled")
    assert stalled["reason"] == "ConfigError"
    assert "exceeded quota" in stalled["message"]
    assert "waited 1 s, spec.pendingDeadlineSeconds" in stalled["message"]


def no_jobs(namespace: Namespace) -> None:
    """A quota that leaves no room for any Job."""
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "none", "namespace": namespace.name}}
    namespace.kubectl.apply({**quota, "spec": {"hard": {"count/jobs.batch": "0"}}})
    namespace("patch", "resourcequota", "none", "--subresource=status", "--type=merge", "-p",
              '{"status":{"hard":{"count/jobs.batch":"0"},"used":{"count/jobs.batch":"0"}}}')  # fmt: skip


def test_a_refused_job_is_told_and_tried_again(operator: Operator, namespace: Namespace) -> None:
    no_jobs(namespace)
    namespace.apply_audit("digits")
    namespace.until(lambda: namespace.condition("digits", "Ready").get("reason") == "ConfigError", "the refusal")
    assert "exceeded quota" in namespace.condition("digits", "Ready")["message"]
    namespace("delete", "resourcequota", "none")
    namespace.job("golden")
    namespace.until(lambda: namespace.condition("digits", "Ready").get("reason") == "Pending", "all well again")
