"""What a task's Pod looks like: the operator's own, then what the audit asks for, then what the installation does."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from assay_api import names
from assay_api.audit import AuditSpec
from assay_api.model import to_wire
from assay_api.plan import Task
from assay_api.target import PodSettings
from assay_operator.objects.children import is_gpu
from assay_operator.objects.raw import Manifest
from assay_operator.settings import Settings

CONTAINER: Final = "task"
USER: Final = 65532
SCRATCH: Final = "/scratch"
CA_FOLDER: Final = "/etc/assay/ca"
CA_FILE: Final = "ca.crt"
TERMINATION_LOG: Final = "/dev/termination-log"
GPU: Final = "nvidia.com/gpu"
# Enough for a scheduler to place a task sensibly where nobody says anything.
DEFAULT_REQUESTS: Final = {"cpu": "250m", "memory": "512Mi"}


def task_json(task: Task) -> str:
    """The task as its Pod reads it from the environment."""
    return json.dumps(to_wire(task), separators=(",", ":"))


def pod_template(
    labels: Mapping[str, str], task: Task, settings: Settings, *, recovery: bool, told: Mapping[str, Any]
) -> Manifest:
    """The template of a task's Pod.

    Args:
        labels: of the operator's own, by which it knows the Pod.
        task: what it does.
        settings: defaults of the installation.
        recovery: only fetch the report that the task has stored already: no GPU, default resources.
        told: what is told a summary of the tasks before it, by the name of the environment variable.
    """
    target, defaults = task.spec.target, settings.pods
    metadata: Manifest = {"labels": defaults.pod_labels | target.pod_labels | dict(labels)}
    if annotations := defaults.pod_annotations | target.pod_annotations:
        metadata["annotations"] = annotations
    container = _container(
        task, settings, recovery, _environment(task, settings, told, labels.get(names.LABEL_TRACE, ""))
    )
    return {"metadata": metadata, "spec": _pod_spec(task, settings, recovery, container)}


def _pod_spec(task: Task, settings: Settings, recovery: bool, container: Manifest) -> Manifest:
    target, storage = task.spec.target, task.spec.storage
    gpu = task.gpus > 0 and not recovery
    volumes: list[Manifest] = [{"name": "scratch", "emptyDir": {"sizeLimit": target.scratch}}]
    if ca := storage.ca_bundle_ref:
        volumes.append({"name": "ca", "configMap": {"name": ca.name, "items": [{"key": ca.key, "path": CA_FILE}]}})
    optional: Manifest = placing(target, settings.pods) | {
        "imagePullSecrets": [to_wire(secret) for secret in target.image_pull_secrets],
        "runtimeClassName": target.runtime_class_name if gpu else None,
        "serviceAccountName": storage.service_account_name or settings.runner_service_account,
    }
    if task.gpu_product and not recovery:
        optional["nodeSelector"] = {**optional["nodeSelector"], names.LABEL_GPU_PRODUCT: task.gpu_product}
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
        "containers": [container],
        "volumes": volumes,
    } | {key: value for key, value in optional.items() if value}


def placing(own: PodSettings, defaults: PodSettings) -> Manifest:
    """Where Pods may run: maps and tolerations of both, everything else as the audit has it where it says anything."""
    return {
        "nodeSelector": defaults.node_selector | own.node_selector,
        "tolerations": [to_wire(toleration) for toleration in (*defaults.tolerations, *own.tolerations)],
        "affinity": own.affinity or defaults.affinity,
        "topologySpreadConstraints": [
            {"labelSelector": {"matchLabels": {names.LABEL_MANAGED: "true"}}} | constraint
            for constraint in own.topology_spread_constraints or defaults.topology_spread_constraints
        ],
        "priorityClassName": own.priority_class_name or defaults.priority_class_name,
    }


def _container(task: Task, settings: Settings, recovery: bool, environment: list[Manifest]) -> Manifest:
    mounts: list[Manifest] = [{"name": "scratch", "mountPath": path} for path in (SCRATCH, "/tmp")]
    if task.spec.storage.ca_bundle_ref:
        mounts.append({"name": "ca", "mountPath": CA_FOLDER, "readOnly": True})
    return {
        "name": CONTAINER,
        "image": task.spec.target.image or settings.runner_image,
        "imagePullPolicy": settings.runner_pull_policy,
        "command": ["assay", "task"],
        "env": environment,
        "ports": [{"name": "progress", "containerPort": names.PROGRESS_PORT, "protocol": "TCP"}],
        "resources": resources(task, settings.pods, recovery),
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


def _environment(task: Task, settings: Settings, told: Mapping[str, Any], trace: str) -> list[Manifest]:
    storage = task.spec.storage
    env: list[Manifest] = [
        {"name": names.ENV_TASK, "value": task_json(task)},
        {"name": names.ENV_TERMINATION_MESSAGE, "value": TERMINATION_LOG},
        {"name": names.ENV_PROGRESS_PORT, "value": str(names.PROGRESS_PORT)},
        {"name": names.ENV_TRACE, "value": trace},
        {"name": names.ENV_SCRATCH, "value": SCRATCH},
        {"name": "HOME", "value": SCRATCH},
        {"name": "TMPDIR", "value": SCRATCH},
        {"name": "AWS_REGION", "value": storage.region or "us-east-1"},
    ]
    if task.about.concludes:
        for name, value in told.items():
            if value:
                env.append({"name": name, "value": json.dumps(value, separators=(",", ":"))})
    if settings.log_format != "text":
        env.append({"name": names.ENV_LOG_FORMAT, "value": settings.log_format})
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


def resources(task: Task, defaults: PodSettings, recovery: bool) -> Manifest:
    """Limits as the audit has them; requests its own, else its limits, else the installation's, else ours."""
    if recovery:
        return {"requests": dict(DEFAULT_REQUESTS)}
    limits: dict[str, Any] = dict(task.spec.target.resources)
    gpus = {name: limits.pop(name) for name in list(limits) if is_gpu(name)}
    if task.gpus:
        limits |= gpus or {GPU: str(task.gpus)}
    requests: Manifest = {"requests": DEFAULT_REQUESTS | defaults.requests | limits | task.spec.target.requests}
    return requests | ({"limits": limits} if limits else {})


def gpu_request(spec: AuditSpec) -> str:
    """The accelerators that a GPU task asks for, in words."""
    given = {name: count for name, count in spec.target.resources.items() if is_gpu(name)}
    return ", ".join(f"{count} x {name}" for name, count in (given or {GPU: "1"}).items())
