"""From a Task to the Job that does it: dictionaries out of pure functions.

A Job's name comes from the task's digest, so that creating it twice creates it once; a finished Job whose answer got
lost is asked again by a second, small Job of the same task.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Final

from assay_api import names
from assay_api.audit import AuditSpec
from assay_api.model import to_wire
from assay_api.plan import Task
from assay_operator.audits.observed import Audit
from assay_operator.objects.children import is_gpu
from assay_operator.objects.keys import label_value
from assay_operator.objects.raw import Manifest
from assay_operator.objects.seen import owner_reference
from assay_operator.settings import Settings

CONTAINER = "task"
USER = 65532
SCRATCH = "/scratch"
CA_FOLDER = "/etc/assay/ca"
CA_FILE = "ca.crt"
TERMINATION_LOG = "/dev/termination-log"
GPU = "nvidia.com/gpu"
# Enough for a scheduler to place a task sensibly where the audit says nothing.
DEFAULT_REQUESTS = {"cpu": "250m", "memory": "512Mi"}
# The kernel takes no environment variable longer than 128 KiB.
TASK_BYTES = 120 * 1024
RECOVERY_SUFFIX = "-r"
EMPTY: Final[Mapping[str, str]] = MappingProxyType({})


def job_name(audit: str, task: Task, *, recovery: bool = False) -> str:
    """Name of the task's Job: readable, unique by the task's digest, at most 63 characters."""
    return f"{_cut(audit, 24)}-{_cut(task.key, 22)}-{task.digest}{RECOVERY_SUFFIX if recovery else ''}"


def task_json(task: Task) -> str:
    """The task as its Pod reads it from the environment."""
    return json.dumps(to_wire(task), separators=(",", ":"))


def job_manifest(
    audit: Audit, task: Task, settings: Settings, *, recovery: bool = False, reports: Mapping[str, str] = EMPTY
) -> Manifest:
    """The Job of a task.

    Args:
        audit: the audit that owns it.
        task: what it does.
        settings: defaults of the installation.
        recovery: only fetch the report that the task has stored already: no GPU, default resources.
        reports: SHA-256 of the candidates' reports by candidate, which a summary holds those in the store against.
    """
    labels = job_labels(audit, task)
    spec = _job_spec(task) | ({"suspend": True} if audit.queue else {})
    pod_labels = {key: value for key, value in labels.items() if key != names.LABEL_QUEUE}
    spec["template"] = {"metadata": {"labels": pod_labels}, "spec": _pod_spec(task, settings, recovery, reports)}
    metadata = {
        "name": job_name(audit.name, task, recovery=recovery),
        "namespace": audit.namespace,
        "labels": labels,
        "ownerReferences": [owner_reference(audit)],
    }
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": spec}


def _job_spec(task: Task) -> Manifest:
    """Retries by cause: a disruption and what is to be mended outside cost none, wrong input gets none, others count.

    The Job controller waits ever longer after each Pod that failed, counted or not: from 10 s up to 10 minutes.
    """
    outside, wrong_input = (
        {"containerName": CONTAINER, "operator": "In", "values": [int(code)]}
        for code in (names.ExitCode.TRY_LATER, names.ExitCode.INVALID_INPUT)
    )
    return {
        "backoffLimit": task.spec.backoff_limit,
        "activeDeadlineSeconds": task.spec.active_deadline_seconds,
        "ttlSecondsAfterFinished": task.spec.ttl_seconds_after_finished,
        "podReplacementPolicy": "Failed",
        "podFailurePolicy": {
            "rules": [
                {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
                {"action": "Ignore", "onExitCodes": outside},
                {"action": "FailJob", "onExitCodes": wrong_input},
            ]
        },
    }


def job_labels(audit: Audit, task: Task) -> dict[str, str]:
    """Labels of a task's Job."""
    labels = {
        "app.kubernetes.io/name": "assay",
        "app.kubernetes.io/component": "task",
        names.LABEL_MANAGED: "true",
        names.LABEL_AUDIT: label_value(audit.name),
        names.LABEL_RUN: task.run,
        names.LABEL_TASK: task.digest,
        names.LABEL_KIND: task.kind,
    }
    if task.candidate:
        labels[names.LABEL_CANDIDATE] = task.candidate.name
    if audit.queue:
        labels[names.LABEL_QUEUE] = audit.queue
    return labels


def _pod_spec(task: Task, settings: Settings, recovery: bool, reports: Mapping[str, str]) -> Manifest:
    target, storage = task.spec.target, task.spec.storage
    gpu = task.gpus > 0 and not recovery
    volumes: list[Manifest] = [{"name": "scratch", "emptyDir": {"sizeLimit": target.scratch}}]
    if ca := storage.ca_bundle_ref:
        volumes.append({"name": "ca", "configMap": {"name": ca.name, "items": [{"key": ca.key, "path": CA_FILE}]}})
    selector = dict(target.node_selector)
    if task.gpu_product and not recovery:
        selector[names.LABEL_GPU_PRODUCT] = task.gpu_product
    optional: Manifest = {
        "nodeSelector": selector,
        "tolerations": [to_wire(toleration) for toleration in target.tolerations],
        "imagePullSecrets": [to_wire(secret) for secret in target.image_pull_secrets],
        "priorityClassName": target.priority_class_name,
        "runtimeClassName": target.runtime_class_name if gpu else None,
        "serviceAccountName": storage.service_account_name or settings.runner_service_account,
    }
    return {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": 30,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": USER,
            "runAsGroup": USER,
            "fsGroup": USER,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [_container(task, settings, recovery, reports)],
        "volumes": volumes,
    } | {key: value for key, value in optional.items() if value}


def _container(task: Task, settings: Settings, recovery: bool, reports: Mapping[str, str]) -> Manifest:
    mounts: list[Manifest] = [{"name": "scratch", "mountPath": path} for path in (SCRATCH, "/tmp")]
    if task.spec.storage.ca_bundle_ref:
        mounts.append({"name": "ca", "mountPath": CA_FOLDER, "readOnly": True})
    return {
        "name": CONTAINER,
        "image": task.spec.target.image or settings.runner_image,
        "imagePullPolicy": settings.runner_pull_policy,
        "command": ["assay", "task"],
        "env": _environment(task, settings, reports),
        "ports": [{"name": "progress", "containerPort": names.PROGRESS_PORT, "protocol": "TCP"}],
        "resources": _resources(task, recovery),
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "privileged": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "terminationMessagePath": TERMINATION_LOG,
        "terminationMessagePolicy": "File",
        "volumeMounts": mounts,
    }


def _environment(task: Task, settings: Settings, reports: Mapping[str, str]) -> list[Manifest]:
    storage = task.spec.storage
    env: list[Manifest] = [
        {"name": names.ENV_TASK, "value": task_json(task)},
        {"name": names.ENV_TERMINATION_MESSAGE, "value": TERMINATION_LOG},
        {"name": names.ENV_PROGRESS_PORT, "value": str(names.PROGRESS_PORT)},
        {"name": names.ENV_SCRATCH, "value": SCRATCH},
        {"name": "HOME", "value": SCRATCH},
        {"name": "TMPDIR", "value": SCRATCH},
        {"name": "AWS_REGION", "value": storage.region or "us-east-1"},
    ]
    if task.about.concludes and reports:
        env.append({"name": names.ENV_REPORTS, "value": json.dumps(reports, separators=(",", ":"))})
    if settings.storage_retry_seconds is not None:
        env.append({"name": names.ENV_RETRY_SECONDS, "value": f"{settings.storage_retry_seconds:g}"})
    if storage.endpoint:
        env.append({"name": "AWS_ENDPOINT_URL", "value": storage.endpoint})
    if storage.ca_bundle_ref:
        env.append({"name": "AWS_CA_BUNDLE", "value": f"{CA_FOLDER}/{CA_FILE}"})
    if secret := storage.secret_ref:
        for key in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            env.append({"name": key, "valueFrom": {"secretKeyRef": {"name": secret.name, "key": key}}})
        token = {"name": secret.name, "key": "AWS_SESSION_TOKEN", "optional": True}
        env.append({"name": "AWS_SESSION_TOKEN", "valueFrom": {"secretKeyRef": token}})
    return env


def _resources(task: Task, recovery: bool) -> Manifest:
    if recovery:
        return {"requests": dict(DEFAULT_REQUESTS)}
    given = dict(task.spec.target.resources)
    gpus = {name: given.pop(name) for name in list(given) if is_gpu(name)}
    if task.gpus:
        given |= gpus or {GPU: str(task.gpus)}
    resources: Manifest = {"requests": DEFAULT_REQUESTS | given}
    if given:
        resources["limits"] = dict(given)
    return resources


def gpu_request(spec: AuditSpec) -> str:
    """The accelerators that a GPU task asks for, in words."""
    given = {name: count for name, count in spec.target.resources.items() if is_gpu(name)}
    return ", ".join(f"{count} x {name}" for name, count in (given or {GPU: "1"}).items())


@lru_cache(maxsize=512)
def _cut(text: str, limit: int) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower())[:limit].strip("-")
