"""How long a task held its GPUs: of every Pod that it had, from its start on a node to its container's end."""

from __future__ import annotations

from datetime import datetime
from typing import TypeVar

from assay_api.status import CandidateStatus, RepairStatus
from assay_operator.audits.observed import Observed
from assay_operator.audits.tasks import TaskState

E = TypeVar("E", CandidateStatus, RepairStatus)


def timed(entry: E, state: TaskState, observed: Observed) -> E:
    """An entry of the status with the GPU seconds of its task, once that is over and while its Pods are there."""
    if not (state.task.gpus and state.over) or entry.gpu_seconds is not None:
        return entry
    seconds = gpu_seconds(state, observed)
    return entry if seconds is None else entry.model_copy(update={"gpu_seconds": seconds})


def gpu_seconds(state: TaskState, observed: Observed) -> int | None:
    """GPUs times seconds; None where no Pod of the task is known to have held any."""
    jobs = {job.uid for job in observed.jobs if job.task == state.task.digest and job.owner == observed.audit.uid}
    held = [_seconds(pod.started, pod.ended) for pod in observed.pods if pod.job in jobs and pod.gpu]
    known = [seconds for seconds in held if seconds is not None]
    return round(sum(known) * state.task.gpus) if known else None


def _seconds(start: datetime | None, end: datetime | None) -> float | None:
    return max((end - start).total_seconds(), 0.0) if start and end else None
