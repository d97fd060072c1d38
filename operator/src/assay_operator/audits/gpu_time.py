"""How long a task held its GPUs: of every Pod that it had, from its start on a node to its container's end.

Of a Job that ran in another cluster there are no Pods here: from its start to its end, which is somewhat more.
"""

from __future__ import annotations

from datetime import datetime
from typing import TypeVar

from assay_api.plan import Task
from assay_api.status import CandidateStatus, RepairStatus
from assay_operator.audits.facts import jobs_of
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
    """GPUs times seconds; None where no Pod of the task is known to have held any.

    What went ahead of several held them for each alike.
    """
    known = _held(state.task, observed)
    if state.ahead:
        known += [seconds / len(state.ahead.together) for seconds in _held(state.ahead, observed)]
    return round(sum(known) * state.task.gpus) if known else None


def _held(task: Task, observed: Observed) -> list[float]:
    """Seconds for which each Pod of a task held its GPUs, of those where that is known."""
    jobs = jobs_of(task, observed)
    uids = {job.uid for job in jobs}
    held = [_seconds(pod.started, pod.ended) for pod in observed.pods if pod.job in uids and pod.gpu]
    held += [_seconds(job.started, job.ended) for job in jobs if job.elsewhere]
    return [seconds for seconds in held if seconds is not None]


def _seconds(start: datetime | None, end: datetime | None) -> float | None:
    return max((end - start).total_seconds(), 0.0) if start and end else None
