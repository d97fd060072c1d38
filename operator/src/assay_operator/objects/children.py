"""Jobs and Pods, cut down to what decisions need.

Thousands of objects are kept in memory, so each is read once from its raw form into a few slots.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from assay_api.names import LABEL_KIND, LABEL_QUEUE, LABEL_RUN, LABEL_TASK
from assay_operator.objects.kind import ChildKind
from assay_operator.objects.raw import Raw, condition, first, owner, time, time_or_none
from assay_operator.objects.resources import JOBS, PODS
from assay_operator.objects.seen import Memory

JOB_CONTROLLER: Final = "kubernetes.io/job-controller"


def is_gpu(resource: str) -> bool:
    """Whether a resource is an accelerator, which only GPU tasks get."""
    return resource.startswith("nvidia.com/") or resource.endswith("/gpu")


@dataclass(frozen=True, slots=True)
class Job:
    """A child Job.

    Attributes:
        held: the Job controller still has it as suspended, whatever its spec says by now.
        resumed: when the Job controller went on with it, where it was suspended before.
        elsewhere: what carries it out in place of the Job controller (spec.managedBy), as MultiKueue does in another
            cluster: its status is brought back, and its Pods are not here.
    """

    name: str
    uid: str
    version: str
    owner: str
    run: str
    task: str
    created: datetime
    started: datetime | None = None
    ended: datetime | None = None
    deleting: bool = False
    suspended: bool = False
    queue: str | None = None
    kind: str = ""
    active: int = 0
    failed: int = 0
    succeeded: bool = False
    failure: str | None = None
    failure_message: str = ""
    held: bool = False
    resumed: datetime | None = None
    elsewhere: str = ""

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
        held = condition(status, "Suspended")
        has_failed = failed.get("status") == "True"
        return Job(
            name=meta["name"],
            uid=meta["uid"],
            version=meta["resourceVersion"],
            owner=owner(meta, "uid"),
            run=labels.get(LABEL_RUN, ""),
            task=labels.get(LABEL_TASK, ""),
            created=time(meta["creationTimestamp"]),
            started=time_or_none(status.get("startTime")),
            ended=time_or_none(status.get("completionTime") or failed.get("lastTransitionTime")),
            deleting="deletionTimestamp" in meta,
            suspended=bool(spec.get("suspend")),
            queue=labels.get(LABEL_QUEUE),
            kind=sys.intern(labels.get(LABEL_KIND, "")),
            active=int(status.get("active") or 0),
            failed=int(status.get("failed") or 0),
            succeeded=complete.get("status") == "True",
            failure=(failed.get("reason") or "Failed") if has_failed else None,
            failure_message=failed.get("message", "") if has_failed else "",
            held=held.get("status") == "True",
            resumed=time_or_none(held.get("lastTransitionTime")) if held.get("status") == "False" else None,
            elsewhere="" if spec.get("managedBy") in (None, JOB_CONTROLLER) else sys.intern(spec["managedBy"]),
        )


@dataclass(frozen=True, slots=True)
class Pod:
    """A Pod that calls itself a task's: where it stands, and how its container ended.

    Attributes:
        job: UID of the Job that controls it; a name would fit a Job's successor too.
        node: the node that it was given to, or nothing.
        lost: its node does not answer, as far as the cluster can tell.
    """

    name: str
    uid: str
    version: str
    job: str
    task: str
    created: datetime
    phase: str = "Pending"
    deleting: bool = False
    address: str | None = None
    node: str = ""
    lost: bool = False
    image: str = ""
    image_id: str = ""
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
    started: datetime | None = None
    ended: datetime | None = None
    kind: str = ""

    @property
    def over(self) -> bool:
        """Whether it will never run again."""
        return self.phase in ("Succeeded", "Failed")

    @property
    def room(self) -> str:
        """What a node keeps for it: gpu, or cpu where it asks for no accelerator; nothing where none does."""
        if self.over or not (self.node or self.phase == "Running"):
            return ""
        return "gpu" if self.gpu else "cpu"

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
        told = first(status.get("containerStatuses"))
        state = told.get("state") or {}
        waiting, ended = state.get("waiting") or {}, state.get("terminated") or {}
        scheduled, disrupted = condition(status, "PodScheduled"), condition(status, "DisruptionTarget")
        unscheduled = scheduled.get("status") == "False" and scheduled.get("reason") == "Unschedulable"
        return Pod(
            name=meta["name"],
            uid=meta["uid"],
            version=meta["resourceVersion"],
            job=owner(meta, "uid"),
            task=labels.get(LABEL_TASK, ""),
            created=time(meta["creationTimestamp"]),
            phase=status.get("phase") or "Pending",
            deleting="deletionTimestamp" in meta,
            address=status.get("podIP"),
            node=spec.get("nodeName") or "",
            lost=_lost(status, told),
            image=container.get("image", ""),
            image_id=sys.intern(told.get("imageID") or ""),
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
            started=time_or_none(status.get("startTime")),
            ended=time_or_none(ended.get("finishedAt")),
            kind=sys.intern(labels.get(LABEL_KIND, "")),
        )


def _lost(status: Raw, told: Raw) -> bool:
    """Whether the cluster says that a Pod is not ready whose own kubelet, when last heard of, said that it was.

    The node controller does so for all Pods of a node that has fallen silent; a kubelet takes both back together.
    """
    if status.get("phase") == "Unknown":
        return True
    running = status.get("phase") == "Running" and "running" in (told.get("state") or {})
    return running and bool(told.get("ready")) and condition(status, "Ready").get("status") == "False"


def note_pod(memory: Memory, pod: Any) -> None:
    """Keep the answer of a Pod that succeeded beyond its end, and forget what a Pod that is over was doing.

    The answer is kept under the Job that the Pod says controls it, and read only where that Job is the task's own.
    """
    if pod.phase == "Succeeded" and pod.message and pod.job:
        memory.results[pod.job] = pod.message
    if pod.over:
        memory.progress.pop(pod.job, None)


JOB: Final = ChildKind(JOBS, Job.of, verbs=("create", "patch", "delete"))
POD: Final = ChildKind(PODS, Pod.of, note=note_pod, room=lambda pod: str(pod.room))
