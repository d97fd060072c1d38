"""Pods and Jobs that somebody else made to look like a task's: they count for nothing."""

from __future__ import annotations

import copy
import json

import pytest

from tests.operator.kubelet import Kubelet, report
from tests.operator.lab import Namespace, Operator, Raw
from tests.operator.test_run import finish_candidates


def forge(kubelet: Kubelet, job: Raw, owners: list[Raw], **result: object) -> None:
    """A Pod with everything that a Pod of the Job has but its owner, and an answer."""
    message = json.dumps({"task": job["metadata"]["labels"]["assay.dev/task"], **result})
    ended = {"exitCode": 0, "reason": "Completed", "message": message}
    container = {
        "name": "task", "image": "x", "imageID": "", "ready": False, "restartCount": 0, "state": {"terminated": ended},
    }  # fmt: skip
    kubelet.pod(job, owners, phase="Succeeded", containerStatuses=[container])


def owner(job: Raw, uid: str | None = None) -> Raw:
    meta = job["metadata"]
    return {
        "apiVersion": "batch/v1", "kind": "Job", "name": meta["name"], "uid": uid or meta["uid"], "controller": True,
    }  # fmt: skip


def test_an_answer_counts_only_from_a_pod_of_the_task_s_own_job(
    operator: Operator, namespace: Namespace, kubelet: Kubelet
) -> None:
    namespace.apply_audit("digits")
    golden = namespace.job("golden")
    kubelet.finish(golden)
    fp16 = namespace.job("fp16")
    for owners in ([], [owner(golden)], [owner(fp16, uid="00000000-0000-4000-8000-000000000000")]):
        forge(kubelet, fp16, owners, verdict="Passed", report=report("fp16"))
    kubelet.finish(namespace.job("bf16"), verdict="Passed", report=report("bf16"))
    namespace.until(lambda: namespace.audit("digits")["status"]["finished"] == "1/2", "the true answer")
    states = {c["name"]: c["state"] for c in namespace.audit("digits")["status"]["candidates"]}
    assert states["bf16"] == "Finished"
    assert states["fp16"] in ("Pending", "Running")
    kubelet.finish(fp16, verdict="Failed", report=report("fp16"))
    kubelet.finish(namespace.job("summary"), verdict="Failed", report=report("all"))
    namespace.wait("Stalled")
    assert namespace.condition("digits", "Complete")["reason"] == "Breached"


def test_a_job_of_another_owner_makes_room_for_the_task_s_own(
    operator: Operator, namespace: Namespace, kubelet: Kubelet
) -> None:
    namespace.apply_audit("digits")
    golden = namespace.job("golden")
    meta = {key: golden["metadata"][key] for key in ("name", "namespace", "labels")}
    template = copy.deepcopy(golden["spec"]["template"])
    for label in [
        label for label in template["metadata"]["labels"] if "controller-uid" in label or "job-name" in label
    ]:
        del template["metadata"]["labels"][label]
    namespace("delete", "job", meta["name"])
    job = {"apiVersion": "batch/v1", "kind": "Job", "metadata": meta, "spec": {"template": template}}
    # Whoever is first has the name, the operator or this; either way it is the operator's in the end.
    namespace.kubectl.attempt("create", "-f", "-", stdin=json.dumps(job))
    uid = namespace.audit("digits")["metadata"]["uid"]
    namespace.until(
        lambda: [o["uid"] for o in namespace.jobs()["golden"]["metadata"]["ownerReferences"]] == [uid], "its own Job"
    )


@pytest.mark.parametrize(("told", "verdict"), [("Passed", "Failed"), ("Failed", "Inconclusive")])
def test_a_summary_that_says_otherwise_than_its_candidates_is_not_believed(
    operator: Operator, namespace: Namespace, kubelet: Kubelet, told: str, verdict: str
) -> None:
    namespace.apply_audit("digits")
    own = "Failed" if told == "Passed" else "Passed"
    finish_candidates(namespace, kubelet, {"fp16": "Passed", "bf16": own})
    summary = namespace.job("summary")
    (container,) = summary["spec"]["template"]["spec"]["containers"]
    env = {entry["name"]: entry.get("value") for entry in container["env"]}
    assert env["ASSAY_REPORTS"] == f'{{"fp16":"{"ab" * 32}","bf16":"{"ab" * 32}"}}'
    kubelet.finish(summary, verdict=told, recommendation="bf16", message="all is well", report=report("all"))
    namespace.wait("Stalled")
    complete, status = namespace.condition("digits", "Complete"), namespace.audit("digits")["status"]
    assert (complete["reason"], status["verdict"]) == ("Error", verdict)
    assert f"says {told} (all is well), the candidates' own results say {own}" in complete["message"]
    assert "recommendation" not in status
