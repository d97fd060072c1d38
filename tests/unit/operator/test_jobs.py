"""From a task to its Job's manifest."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from assay_api import names
from assay_api.plan import Task
from assay_operator.audits.jobs import job_manifest, job_name
from assay_operator.audits.observed import Audit
from assay_operator.audits.pods import task_json
from assay_operator.audits.run import Run, largest_task, run_of
from assay_operator.kinds import KINDS
from assay_operator.objects.children import Job, is_gpu
from assay_operator.objects.keys import label_value
from assay_operator.objects.resources import JOBS
from assay_operator.settings import Settings

SETTINGS = Settings(runner_image="runner:1", runner_pull_policy="Never", runner_service_account="tasks")
Raw = dict[str, Any]


def audit(name: str = "digits", labels: Raw | None = None, **spec: Any) -> Audit:
    given = {
        "model": {"uri": "s3://models/digits.onnx"},
        "dataset": {"uri": "s3://datasets/digits/"},
        "candidates": [
            {"name": "cpu", "backend": "onnxruntime", "precision": "fp16"},
            {"name": "gpu", "backend": "tensorrt", "precision": "fp16"},
        ],
        "artifacts": {"uri": "s3://audits/"},
        **spec,
    }
    meta = {"namespace": "team", "name": name, "uid": "u", "resourceVersion": "1", "labels": labels or {}}
    return Audit.of({"metadata": meta, "spec": given})


def task(of: Audit, key: str) -> Task:
    run = run_of(of)
    assert isinstance(run, Run)
    return next(task for task in run.tasks if task.key == key)


def manifest(key: str, *, recovery: bool = False, labels: Raw | None = None, **spec: Any) -> Raw:
    of = audit(labels=labels, **spec)
    return job_manifest(of, task(of, key), SETTINGS, recovery=recovery)


def pod(key: str, **spec: Any) -> Raw:
    found: Raw = manifest(key, **spec)["spec"]["template"]["spec"]
    return found


def env(key: str, **spec: Any) -> dict[str, Any]:
    return {e["name"]: e.get("value", e.get("valueFrom")) for e in pod(key, **spec)["containers"][0]["env"]}


def test_job_is_held_to_the_audit_and_to_its_retries() -> None:
    job = manifest("golden", backoffLimit=2, activeDeadlineSeconds=60, ttlSecondsAfterFinished=5)
    assert job["metadata"]["ownerReferences"] == [
        {"apiVersion": "assay.dev/v1alpha1", "kind": "AccuracyAudit", "name": "digits", "uid": "u",
         "controller": True, "blockOwnerDeletion": False}
    ]  # fmt: skip
    spec = job["spec"]
    assert (spec["backoffLimit"], spec["activeDeadlineSeconds"], spec["ttlSecondsAfterFinished"]) == (2, 60, 5)
    assert spec["podReplacementPolicy"] == "Failed"
    assert [rule["action"] for rule in spec["podFailurePolicy"]["rules"]] == ["Ignore", "Ignore", "FailJob"]
    assert spec["podFailurePolicy"]["rules"][1]["onExitCodes"]["values"] == [75]
    assert spec["podFailurePolicy"]["rules"][2]["onExitCodes"]["values"] == [64]
    assert "suspend" not in spec


def test_pod_meets_the_restricted_standard() -> None:
    for key in ("golden", "gpu", "summary"):
        given = pod(key)
        assert given["restartPolicy"] == "Never"
        assert given["automountServiceAccountToken"] is False
        assert given["securityContext"] == {
            "runAsNonRoot": True, "runAsUser": 65532, "runAsGroup": 65532, "fsGroup": 65532,
            "seccompProfile": {"type": "RuntimeDefault"},
        }  # fmt: skip
        assert given["containers"][0]["securityContext"] == {
            "allowPrivilegeEscalation": False, "privileged": False, "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }  # fmt: skip


def test_task_travels_in_the_environment() -> None:
    of = audit()
    wanted = task(of, "gpu")
    given = env("gpu")
    assert Task.model_validate_json(given["ASSAY_TASK"]) == wanted
    assert Task.model_validate_json(given["ASSAY_TASK"]).digest == wanted.digest
    assert given["ASSAY_TERMINATION_MESSAGE"] == "/dev/termination-log"
    assert given["HOME"] == given["TMPDIR"] == given["ASSAY_SCRATCH"]
    assert wanted.output.startswith("s3://audits/team/digits/")
    assert wanted.cache == "s3://audits/cache"


@pytest.mark.parametrize("recovery", [False, True])
def test_a_summary_is_given_the_digests_of_the_reports_and_keeps_its_name(recovery: bool) -> None:
    of, reports = audit(), {"cpu": "ab" * 32}
    made = job_manifest(of, task(of, "summary"), SETTINGS, recovery=recovery, reports=reports)
    (container,) = made["spec"]["template"]["spec"]["containers"]
    assert json.loads({e["name"]: e.get("value") for e in container["env"]}["ASSAY_REPORTS"]) == reports
    bare = job_manifest(of, task(of, "summary"), SETTINGS, recovery=recovery)
    assert made["metadata"] == bare["metadata"]
    other = job_manifest(of, task(of, "cpu"), SETTINGS, reports=reports)["spec"]["template"]["spec"]["containers"][0]
    assert "ASSAY_REPORTS" not in {e["name"] for e in other["env"]}


@pytest.mark.parametrize(("seconds", "given"), [(None, None), (0.0, "0"), (600.0, "600")])
def test_patience_with_storage_reaches_the_pod(seconds: float | None, given: str | None) -> None:
    settings = replace(SETTINGS, storage_retry_seconds=seconds)
    of = audit()
    (container,) = job_manifest(of, task(of, "golden"), settings)["spec"]["template"]["spec"]["containers"]
    assert {e["name"]: e.get("value") for e in container["env"]}.get("ASSAY_RETRY_SECONDS") == given


@pytest.mark.parametrize(
    ("key", "given", "limits"),
    [
        ("golden", {}, None),
        ("cpu", {}, None),
        ("gpu", {}, {"nvidia.com/gpu": "1"}),
        ("gpu", {"nvidia.com/gpu": 2}, {"nvidia.com/gpu": "2"}),
        ("gpu", {"nvidia.com/mig-1g.10gb": 1}, {"nvidia.com/mig-1g.10gb": "1"}),
        ("cpu", {"nvidia.com/gpu": 2, "memory": "4Gi"}, {"memory": "4Gi"}),
        ("gpu", {"memory": "4Gi"}, {"memory": "4Gi", "nvidia.com/gpu": "1"}),
    ],
)
def test_gpus_go_to_those_who_need_them(key: str, given: Raw, limits: Raw | None) -> None:
    resources = pod(key, target={"resources": given})["containers"][0]["resources"]
    assert resources.get("limits") == limits
    assert resources["requests"] == {"cpu": "250m", "memory": "512Mi", **(limits or {})}


@pytest.mark.parametrize(
    ("resource", "gpu"),
    [("nvidia.com/gpu", True), ("nvidia.com/mig-3g.40gb", True), ("amd.com/gpu", True), ("memory", False)],
)
def test_what_counts_as_a_gpu(resource: str, gpu: bool) -> None:
    assert is_gpu(resource) is gpu


def test_recovery_job_asks_for_no_gpu_and_has_a_name_of_its_own() -> None:
    target = {"gpuProducts": ["NVIDIA-H200"], "runtimeClassName": "nvidia", "nodeSelector": {"pool": "a"}}
    of = audit(target=target)
    wanted = task(of, "gpu@NVIDIA-H200")
    usual, again = (job_manifest(of, wanted, SETTINGS, recovery=flag) for flag in (False, True))
    first, second = (job["spec"]["template"]["spec"] for job in (usual, again))
    assert first["nodeSelector"] == {"pool": "a", "nvidia.com/gpu.product": "NVIDIA-H200"}
    assert first["runtimeClassName"] == "nvidia"
    assert second["nodeSelector"] == {"pool": "a"}
    assert "runtimeClassName" not in second
    assert "limits" not in second["containers"][0]["resources"]
    assert again["metadata"]["name"] == usual["metadata"]["name"] + "-r"
    assert first["containers"][0]["env"] == second["containers"][0]["env"]


def test_target_reaches_the_pod() -> None:
    given = pod(
        "cpu",
        target={
            "image": "mine:2", "scratch": "5Gi", "priorityClassName": "low", "imagePullSecrets": [{"name": "pull"}],
            "tolerations": [{"key": "gpu", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 5}],
            "runtimeClassName": "nvidia",
        },
    )  # fmt: skip
    assert given["containers"][0]["image"] == "mine:2"
    assert given["containers"][0]["imagePullPolicy"] == "Never"
    assert given["volumes"] == [{"name": "scratch", "emptyDir": {"sizeLimit": "5Gi"}}]
    assert [m["mountPath"] for m in given["containers"][0]["volumeMounts"]] == ["/scratch", "/tmp"]
    assert given["priorityClassName"] == "low"
    assert given["imagePullSecrets"] == [{"name": "pull"}]
    assert given["tolerations"] == [{"key": "gpu", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 5}]
    assert "runtimeClassName" not in given
    assert given["serviceAccountName"] == "tasks"


def test_storage_reaches_the_pod_and_no_secret_is_written_down() -> None:
    storage = {
        "secretRef": {"name": "s3"}, "endpoint": "https://s3.local:9000", "region": "eu", "caBundleRef": {"name": "ca"},
    }  # fmt: skip
    given = env("golden", storage=storage)
    assert given["AWS_ACCESS_KEY_ID"] == {"secretKeyRef": {"name": "s3", "key": "AWS_ACCESS_KEY_ID"}}
    assert given["AWS_SESSION_TOKEN"]["secretKeyRef"]["optional"] is True
    assert (given["AWS_ENDPOINT_URL"], given["AWS_REGION"]) == ("https://s3.local:9000", "eu")
    mounts = pod("golden", storage=storage)["containers"][0]["volumeMounts"]
    assert given["AWS_CA_BUNDLE"] == "/etc/assay/ca/ca.crt"
    assert {"name": "ca", "mountPath": "/etc/assay/ca", "readOnly": True} in mounts
    assert pod("golden", storage={"serviceAccountName": "irsa"})["serviceAccountName"] == "irsa"
    assert env("golden")["AWS_REGION"] == "us-east-1"


def test_queue_is_passed_on_to_the_job_and_not_to_its_pod() -> None:
    job = manifest("golden", labels={names.LABEL_QUEUE: "gpus", names.LABEL_QUEUE_PRIORITY: "low"})
    assert job["spec"]["suspend"] is True
    assert job["metadata"]["labels"][names.LABEL_QUEUE] == "gpus"
    assert job["metadata"]["labels"][names.LABEL_QUEUE_PRIORITY] == "low"
    assert not {names.LABEL_QUEUE, names.LABEL_QUEUE_PRIORITY} & set(job["spec"]["template"]["metadata"]["labels"])
    assert (
        names.LABEL_QUEUE_PRIORITY
        not in manifest("golden", labels={names.LABEL_QUEUE_PRIORITY: "low"})["metadata"]["labels"]
    )


@pytest.mark.parametrize("name", ["a", "digits", "x" * 253, "team.digits.v1.2", "a" * 23 + "." + "b" * 20])
@pytest.mark.parametrize("key", ["golden", "c" * 40, "fp16@NVIDIA-A100-SXM4-40GB", "a@" + "B_" * 100])
def test_names_are_short_safe_and_readable(name: str, key: str) -> None:
    of = audit(name)
    wanted = task(of, "golden").model_copy(update={"key": key})
    for recovery in (False, True):
        made = job_name(name, wanted, recovery=recovery)
        assert len(made) <= 63
        assert made.replace("-", "").isalnum()
        assert made == made.lower()
        assert not made.startswith("-")
        assert wanted.digest in made
    label = label_value(name)
    assert len(label) <= 63
    assert label[-1].isalnum()


def test_a_job_is_read_back_as_it_was_made() -> None:
    raw = manifest("golden", labels={names.LABEL_QUEUE: "gpus"})
    raw["metadata"] |= {"uid": "j", "resourceVersion": "7", "creationTimestamp": "2026-01-01T00:00:00Z"}
    job = Job.of(json.loads(json.dumps(raw)))
    assert (job.owner, job.queue, job.suspended) == ("u", "gpus", True)
    (item,) = KINDS.items(JOBS, raw)
    assert item.group == audit().key.group
    assert job.task == task(audit(), "golden").digest


def test_the_limit_of_a_task_s_size_is_held_by_all_of_a_run() -> None:
    calibration = {"uri": f"s3://datasets/{'x' * 300}/"}
    candidates = [
        {"name": f"c{index}", "backend": "onnxruntime", "precision": "int8", "calibration": calibration}
        for index in range(20)
    ]
    run = run_of(audit(candidates=candidates))
    assert isinstance(run, Run)
    largest = max(len(task_json(task)) for task in run.tasks)
    assert largest > len(task_json(run.tasks[0])) + 300
    assert largest - 20 < largest_task(run.spec, run.tasks) <= largest + 20
