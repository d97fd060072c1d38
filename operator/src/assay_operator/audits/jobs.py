"""From a Task to the Job that does it: dictionaries out of pure functions.

A Job's name comes from the task's digest, so that creating it twice creates it once; a finished Job whose answer got
lost is asked again by a second, small Job of the same task.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from types import MappingProxyType
from typing import Final

from assay_api import names
from assay_api.plan import Task
from assay_operator.audits.observed import Audit
from assay_operator.audits.pods import CONTAINER, pod_template
from assay_operator.objects.keys import label_value
from assay_operator.objects.raw import Manifest
from assay_operator.objects.seen import owner_reference
from assay_operator.settings import Settings

# The kernel takes no environment variable longer than 128 KiB.
TASK_BYTES = 120 * 1024
RECOVERY_SUFFIX = "-r"
OF_JOBS: Final = (names.LABEL_QUEUE, names.LABEL_QUEUE_PRIORITY)
"""Labels that speak to Kueue, of a Job alone: a Pod that had them would be queued by itself."""
EMPTY: Final[Mapping[str, str]] = MappingProxyType({})
NONE: Final[Mapping[str, Sequence[str]]] = MappingProxyType({})


def job_name(audit: str, task: Task, *, recovery: bool = False) -> str:
    """Name of the task's Job: readable, unique by the task's digest, at most 63 characters."""
    return f"{_cut(audit, 24)}-{_cut(task.key, 22)}-{task.digest}{RECOVERY_SUFFIX if recovery else ''}"


def job_manifest(
    audit: Audit, task: Task, settings: Settings, *, recovery: bool = False, here: bool = False,
    reports: Mapping[str, str] = EMPTY, images: Mapping[str, Sequence[str]] = NONE,
) -> Manifest:  # fmt: skip
    """The Job of a task.

    Args:
        audit: the audit that owns it.
        task: what it does.
        settings: defaults of the installation.
        recovery: only fetch the report that the task has stored already: no GPU, default resources.
        here: in no queue, for that may be another cluster's.
        reports: SHA-256 of the candidates' reports by candidate, which a summary holds those in the store against.
        images: keys of the tasks that ran an image, by its reference and digest, which a summary puts into the report.
    """
    audit = replace(audit, queue=None) if here else audit
    labels = job_labels(audit, task)
    told = {names.ENV_REPORTS: reports, names.ENV_IMAGES: images}
    spec = _job_spec(task) | ({"suspend": True} if audit.queue else {})
    pod_labels = {key: value for key, value in labels.items() if key not in OF_JOBS}
    spec["template"] = pod_template(pod_labels, task, settings, recovery=recovery, told=told)
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
        "activeDeadlineSeconds": task.deadline_seconds,
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
        names.LABEL_TRACE: audit.trace or names.trace_of(audit.uid, task.run),
    }
    if task.candidate:
        labels[names.LABEL_CANDIDATE] = task.candidate.name
    if audit.queue:
        labels[names.LABEL_QUEUE] = audit.queue
        if audit.queue_priority:
            labels[names.LABEL_QUEUE_PRIORITY] = audit.queue_priority
    return labels


@lru_cache(maxsize=512)
def _cut(text: str, limit: int) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower())[:limit].strip("-")
