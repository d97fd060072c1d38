"""What the operator knows of one audit at one moment: frozen values, cut down to what decisions need.

Thousands of objects are kept in memory, so each is read once from its raw form into a few slots; specs and statuses
stay as compact JSON and are parsed when they are needed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from assay_api.names import ANNOTATION_RERUN, LABEL_AUDIT, LABEL_QUEUE, LABEL_RUN, LABEL_TASK, Condition
from assay_api.result import Progress
from assay_operator.raw import Raw, condition, first, owner, time, time_or_none
from assay_operator.refusals import Refusal

Key = tuple[str, str]
"""Namespace and name of an audit."""


def compact(value: Any) -> bytes:
    """The value as JSON without blanks."""
    return json.dumps(value, separators=(",", ":")).encode()


def is_gpu(resource: str) -> bool:
    """Whether a resource is an accelerator, which only GPU tasks get."""
    return resource.startswith("nvidia.com/") or resource.endswith("/gpu")


@dataclass(frozen=True, slots=True)
class Audit:
    """An AccuracyAudit: `spec` and `status` are JSON."""

    namespace: str
    name: str
    uid: str
    generation: int
    version: str
    deleting: bool
    queue: str | None
    rerun: str
    spec: bytes
    status: bytes
    phase: str
    verdict: str
    complete: bool

    @property
    def key(self) -> Key:
        """Namespace and name."""
        return self.namespace, self.name

    @staticmethod
    def of(raw: Raw) -> Audit:
        """Read one from its raw form."""
        meta, status = raw["metadata"], raw.get("status") or {}
        return Audit(
            namespace=meta["namespace"],
            name=meta["name"],
            uid=meta["uid"],
            generation=int(meta.get("generation", 0)),
            version=meta["resourceVersion"],
            deleting="deletionTimestamp" in meta,
            queue=(meta.get("labels") or {}).get(LABEL_QUEUE) or None,
            rerun=(meta.get("annotations") or {}).get(ANNOTATION_RERUN, ""),
            spec=compact(raw.get("spec") or {}),
            status=compact(status),
            phase=status.get("phase") or "",
            verdict=status.get("verdict") or "",
            complete=condition(status, Condition.COMPLETE).get("status") == "True",
        )


@dataclass(frozen=True, slots=True)
class Job:
    """A child Job."""

    name: str
    uid: str
    version: str
    owner: str
    audit: str
    run: str
    task: str
    created: datetime
    started: datetime | None = None
    ended: datetime | None = None
    deleting: bool = False
    suspended: bool = False
    queue: str | None = None
    active: int = 0
    failed: int = 0
    succeeded: bool = False
    failure: str | None = None
    failure_message: str = ""

    @property
    def finished(self) -> bool:
        """Whether the Job controller has closed it."""
        return self.succeeded or self.failure is not None

    @staticmethod
    def of(raw: Raw) -> Job:
        """Read one from its raw form."""
        meta, spec, status = raw["metadata"], raw.get("spec") or {}, raw.get("status") or {}
        labels = meta.get("labels") or {}
        complete, failed = condition(status, "Complete"), condition(status, "Failed")
        has_failed = failed.get("status") == "True"
        return Job(
            name=meta["name"],
            uid=meta["uid"],
            version=meta["resourceVersion"],
            owner=owner(meta, "uid"),
            audit=labels.get(LABEL_AUDIT, ""),
            run=labels.get(LABEL_RUN, ""),
            task=labels.get(LABEL_TASK, ""),
            created=time(meta["creationTimestamp"]),
            started=time_or_none(status.get("startTime")),
            ended=time_or_none(status.get("completionTime") or failed.get("lastTransitionTime")),
            deleting="deletionTimestamp" in meta,
            suspended=bool(spec.get("suspend")),
            queue=labels.get(LABEL_QUEUE),
            active=int(status.get("active") or 0),
            failed=int(status.get("failed") or 0),
            succeeded=complete.get("status") == "True",
            failure=(failed.get("reason") or "Failed") if has_failed else None,
            failure_message=failed.get("message", "") if has_failed else "",
        )


@dataclass(frozen=True, slots=True)
class Pod:
    """A Pod that calls itself a task's: where it stands, and how its container ended.

    Attributes:
        job: UID of the Job that controls it; a name would fit a Job's successor too.
    """

    name: str
    uid: str
    version: str
    job: str
    audit: str
    task: str
    created: datetime
    phase: str = "Pending"
    deleting: bool = False
    address: str | None = None
    image: str = ""
    memory: str | None = None
    gpu: bool = False
    unscheduled: str | None = None
    waiting: str | None = None
    waiting_message: str = ""
    disrupted: str | None = None
    reason: str = ""
    exit_code: int | None = None
    exit_reason: str = ""
    message: str = ""
    ended: datetime | None = None

    @property
    def over(self) -> bool:
        """Whether it will never run again."""
        return self.phase in ("Succeeded", "Failed")

    @property
    def out_of_memory(self) -> bool:
        """Whether the kernel killed it for its memory, as far as anyone can tell."""
        if self.exit_reason == "OOMKilled":
            return True
        return self.exit_code == 137 and not self.disrupted and not self.deleting

    @staticmethod
    def of(raw: Raw) -> Pod:
        """Read one from its raw form."""
        meta, spec, status = raw["metadata"], raw.get("spec") or {}, raw.get("status") or {}
        labels = meta.get("labels") or {}
        container = first(spec.get("containers"))
        limits = (container.get("resources") or {}).get("limits") or {}
        state = first(status.get("containerStatuses")).get("state") or {}
        waiting, ended = state.get("waiting") or {}, state.get("terminated") or {}
        scheduled, disrupted = condition(status, "PodScheduled"), condition(status, "DisruptionTarget")
        unscheduled = scheduled.get("status") == "False" and scheduled.get("reason") == "Unschedulable"
        return Pod(
            name=meta["name"],
            uid=meta["uid"],
            version=meta["resourceVersion"],
            job=owner(meta, "uid"),
            audit=labels.get(LABEL_AUDIT, ""),
            task=labels.get(LABEL_TASK, ""),
            created=time(meta["creationTimestamp"]),
            phase=status.get("phase") or "Pending",
            deleting="deletionTimestamp" in meta,
            address=status.get("podIP"),
            image=container.get("image", ""),
            memory=limits.get("memory"),
            gpu=any(map(is_gpu, limits)),
            unscheduled=scheduled.get("message", "") if unscheduled else None,
            waiting=waiting.get("reason"),
            waiting_message=waiting.get("message", ""),
            disrupted=(disrupted.get("reason") or "DisruptionTarget") if disrupted.get("status") == "True" else None,
            reason=status.get("reason", ""),
            exit_code=ended.get("exitCode"),
            exit_reason=ended.get("reason", ""),
            message=ended.get("message", ""),
            ended=time_or_none(ended.get("finishedAt")),
        )


@dataclass(frozen=True)
class Observed:
    """One audit and everything of it in the cluster.

    Attributes:
        audit: the audit.
        jobs: its child Jobs, of any run.
        pods: the Pods that those Jobs control. Any other counts for nothing, whatever its labels say.
        results: termination messages of Pods that succeeded, by their Job's UID; they outlive the Pod.
        progress: what running tasks do, by their Job's UID.
        hints: what events say of a Job or Pod that does not come up, by the object's UID.
        refused: what the API server answered to the creation of a Job, by its name.
    """

    audit: Audit
    jobs: tuple[Job, ...] = ()
    pods: tuple[Pod, ...] = ()
    results: Mapping[str, str] = field(default_factory=dict)
    progress: Mapping[str, Progress] = field(default_factory=dict)
    hints: Mapping[str, str] = field(default_factory=dict)
    refused: Mapping[str, Refusal] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Leave out the Pods that no Job of the audit controls: labels can be had by anyone who may create a Pod."""
        own = {job.uid for job in self.jobs if job.owner == self.audit.uid}
        object.__setattr__(self, "pods", tuple(pod for pod in self.pods if pod.job in own))
