"""What became of one task: read from its Jobs, their Pods and what the status has on record.

A record of the same run stands: Jobs and Pods may be gone by then. A result counts once its Pod succeeded, and only
where the task's own Job, by UID, controls that Pod. Where a Job succeeded and its Pod went before it was read, the task
is asked again by a recovery Job, which finds the stored report and answers without measuring anew.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Literal

from assay_api.names import ExitCode, Reason
from assay_api.plan import Task
from assay_api.result import TaskResult
from assay_api.status import CandidateStatus
from assay_operator.jobs import job_name
from assay_operator.observed import Job, Observed, Pod
from assay_operator.troubles import (
    SILENCE_SECONDS,
    Trouble,
    answer_lost,
    how_it_ended,
    job_trouble,
    out_of_memory,
    pod_trouble,
    read_result,
    refusal_trouble,
)

State = Literal["Waiting", "Pending", "Running", "Retrying", "Suspended", "Finished", "Failed"]

# A Job may be seen as finished before its last Pod is: they come by different watches.
GRACE_SECONDS = 10.0
OUT_OF_MEMORY_KILLS = 2
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class TaskState:
    """Where a task stands.

    Attributes:
        task: the task.
        state: as in the status.
        result: what it answered, once it finished and as long as that is to be had.
        recorded: its entry of the status, which stands beside whatever is left of its answer.
        trouble: why it waits, is tried again or failed.
        retries: Pods of it that failed before.
        job: its Job that has not finished, if there is one.
        recover: it needs a recovery Job.
        stop: its Job is to be deleted, for nothing good can come of it.
        check_after: seconds after which this may change without anything being seen to happen.
    """

    task: Task
    state: State
    result: TaskResult | None = None
    recorded: CandidateStatus | None = None
    trouble: Trouble | None = None
    retries: int = 0
    job: Job | None = None
    recover: bool = False
    stop: bool = False
    check_after: float | None = None

    @property
    def over(self) -> bool:
        """Whether it finished or failed."""
        return self.state in ("Finished", "Failed")

    @property
    def exists(self) -> bool:
        """Whether it ever had a Job."""
        return self.state != "Waiting"


def task_state(task: Task, observed: Observed, recorded: CandidateStatus | None, now: datetime) -> TaskState:
    """What became of a task."""
    jobs = {job.name: job for job in observed.jobs if job.task == task.digest and job.owner == observed.audit.uid}
    main = jobs.get(job_name(observed.audit.name, task))
    recovery = jobs.get(job_name(observed.audit.name, task, recovery=True))
    running = next((job for job in (recovery, main) if job and not (job.finished or job.deleting)), None)
    result = _result(task, [job for job in (main, recovery) if job], observed)
    if recorded and recorded.state in ("Finished", "Failed"):
        trouble = Trouble.read(recorded.message or "") if recorded.state == "Failed" else None
        return TaskState(
            task, recorded.state, result, recorded=recorded, trouble=trouble, retries=recorded.retries or 0,
            job=running, stop=running is not None and recorded.state == "Failed",
        )  # fmt: skip
    if result:
        return TaskState(task, "Finished", result=result, job=running, retries=main.failed if main else 0)
    if recovery:
        return _recovery_state(task, recovery, observed, now)
    if main is None:
        return _unmade(TaskState(task, "Waiting"), observed, now)
    if main.failure:
        return _failed_state(task, main, observed, now)
    if main.succeeded:
        return _answer_lost(task, main, observed, now)
    return _active_state(task, main, observed, now)


def _unmade(state: TaskState, observed: Observed, now: datetime) -> TaskState:
    """A task in want of a Job, which the API server may have refused for good or for too long."""
    refusal = observed.refused.get(job_name(observed.audit.name, state.task, recovery=state.recover))
    if refusal is None or state.task.spec.suspend:
        return state
    trouble, left = refusal_trouble(refusal, state.task.spec.pending_deadline_seconds, now)
    if left:
        return replace(state, trouble=trouble, check_after=left)
    return replace(state, state="Failed", recover=False, trouble=trouble)


def _result(task: Task, jobs: Iterable[Job], observed: Observed) -> TaskResult | None:
    """What the task answered, through a Pod of one of its Jobs."""
    heard = (observed.results.get(job.uid, "") for job in jobs)
    succeeded = (pod.message for job in jobs for pod in _pods_of(job, observed.pods) if pod.phase == "Succeeded")
    for message in (*heard, *succeeded):
        result = read_result(message)
        if result and result.task == task.digest and not result.error:
            return result
    return None


def _answer_lost(task: Task, job: Job, observed: Observed, now: datetime) -> TaskState:
    """The Job succeeded without an answer that can be read."""
    left = _grace_left(job, observed.pods, now)
    if left > 0:
        return TaskState(task, "Running", job=job, check_after=left)
    last = _newest(_pods_of(job, observed.pods))
    if last and (told := read_result(last.message)) and told.error:
        return TaskState(task, "Failed", trouble=_failure(task, job, last))
    again = Trouble(Reason.PENDING, "reading its stored report again")
    return _unmade(TaskState(task, "Running", recover=True, trouble=again), observed, now)


def _recovery_state(task: Task, job: Job, observed: Observed, now: datetime) -> TaskState:
    if not job.finished:
        return _active_state(task, job, observed, now)
    left = _grace_left(job, observed.pods, now)
    if left > 0:
        return TaskState(task, "Running", job=job, check_after=left)
    last = _newest(_pods_of(job, observed.pods))
    return TaskState(task, "Failed", trouble=Trouble(Reason.ERROR, answer_lost(job, last)))


def _failed_state(task: Task, job: Job, observed: Observed, now: datetime) -> TaskState:
    if job.failure != "DeadlineExceeded" and (left := _grace_left(job, observed.pods, now)) > 0:
        return TaskState(task, "Retrying", job=job, check_after=left, retries=job.failed)
    last = _newest([pod for pod in _pods_of(job, observed.pods) if pod.phase == "Failed"])
    return TaskState(task, "Failed", trouble=_failure(task, job, last), retries=max(job.failed - 1, 0))


def _failure(task: Task, job: Job, last: Pod | None) -> Trouble:
    result = read_result(last.message) if last else None
    if result and result.error and result.error.reason == "InvalidInput":
        return Trouble(Reason.INVALID_INPUT, result.error.message)
    if job.failure == "DeadlineExceeded":
        seconds = task.spec.active_deadline_seconds
        return Trouble(
            Reason.DEADLINE_EXCEEDED,
            f"not done within {seconds} s: raise spec.activeDeadlineSeconds, or give it less to do",
        )
    if last is None:
        return Trouble(Reason.ERROR, job.failure_message or f"Job {job.name} failed ({job.failure})")
    if last.exit_code == ExitCode.INVALID_INPUT:
        return Trouble(Reason.INVALID_INPUT, f"it refused its input without a word, see `kubectl logs {last.name}`")
    if last.out_of_memory:
        return Trouble(Reason.OUT_OF_MEMORY, out_of_memory(last))
    tries = f"{job.failed} tries failed, the last: " if job.failed > 1 else ""
    return Trouble(Reason.ERROR, f"{tries}{how_it_ended(last)}")


def _active_state(task: Task, job: Job, observed: Observed, now: datetime) -> TaskState:
    pods = _pods_of(job, observed.pods)
    failed = [pod for pod in pods if pod.phase == "Failed"]
    kills = [pod for pod in failed if pod.out_of_memory]
    if len(kills) >= OUT_OF_MEMORY_KILLS:
        trouble = Trouble(Reason.OUT_OF_MEMORY, f"{len(kills)} times {out_of_memory(_last(kills))}")
        return TaskState(task, "Failed", trouble=trouble, job=job, stop=True, retries=len(kills) - 1)
    retries = max(job.failed, len(failed))
    if job.suspended:
        return _held_state(task, job, observed, retries)
    current = _newest([pod for pod in pods if not pod.over])
    if current and current.phase == "Running":
        cause = Trouble(Reason.RETRYING, how_it_ended(_last(failed))) if failed else None
        return TaskState(task, "Running", job=job, retries=retries, trouble=cause)
    if current is None and failed:
        if _last(failed).exit_code == ExitCode.INVALID_INPUT:
            # Nothing is tried again: the Job controller is about to close the Job.
            return TaskState(task, "Running", job=job)
        cause = Trouble(Reason.RETRYING, how_it_ended(_last(failed)))
        return TaskState(task, "Retrying", job=job, retries=retries, trouble=cause)
    if current is None and any(pod.phase == "Succeeded" for pod in pods):
        return TaskState(task, "Running", job=job, retries=retries)
    return _pending_state(task, job, current, observed, retries, now)


def _held_state(task: Task, job: Job, observed: Observed, retries: int) -> TaskState:
    if job.queue and not observed.audit.deleting:
        trouble = Trouble(Reason.PENDING, f"queued in {job.queue}: Kueue starts it when there is room")
        return TaskState(task, "Pending", job=job, retries=retries, trouble=trouble)
    return TaskState(task, "Suspended", job=job, retries=retries)


def _pending_state(task: Task, job: Job, pod: Pod | None, observed: Observed, retries: int, now: datetime) -> TaskState:
    hint = observed.hints.get(pod.uid if pod else job.uid)
    waited = (now - _waits_since(task, job, pod, observed.pods, now)).total_seconds()
    limit = task.spec.pending_deadline_seconds
    trouble = pod_trouble(pod, task, hint) if pod else job_trouble(hint)
    if waited >= limit:
        never = f"its Pod never started, see `kubectl describe job {job.name}`"
        known = trouble or Trouble(Reason.PENDING, never)
        words = f"{known.message} (waited {limit} s, spec.pendingDeadlineSeconds)"
        return TaskState(task, "Failed", job=job, stop=True, retries=retries, trouble=Trouble(known.reason, words))
    check = limit - waited
    if trouble is None or hint:
        check = min(check, SILENCE_SECONDS - waited + 0.1 if waited <= SILENCE_SECONDS else 2 * SILENCE_SECONDS)
    return TaskState(task, "Pending", job=job, retries=retries, trouble=trouble, check_after=check)


def _waits_since(task: Task, job: Job, pod: Pod | None, pods: Iterable[Pod], now: datetime) -> datetime:
    """Since when nothing that this audit does explains the wait: a Pod in want of room waits for its siblings first."""
    if pod is None:
        return job.started or job.created
    if "Insufficient" not in (pod.unscheduled or ""):
        return pod.created
    siblings = [other for other in pods if other.job != job.uid and (other.gpu or not task.gpus)]
    freed = [now if other.phase == "Running" else other.ended or pod.created for other in siblings]
    return max([pod.created, *freed])


def _grace_left(job: Job, pods: Iterable[Pod], now: datetime) -> float:
    """Seconds to wait for the Pod that closed a finished Job; none where every Pod we know is over, or time is up."""
    mine = _pods_of(job, pods)
    if mine and all(pod.over for pod in mine):
        return 0.0
    return GRACE_SECONDS - (now - (job.ended or job.created)).total_seconds()


def _pods_of(job: Job, pods: Iterable[Pod]) -> list[Pod]:
    return [pod for pod in pods if pod.job == job.uid]


def _newest(pods: list[Pod]) -> Pod | None:
    return max(pods, key=lambda pod: (pod.ended or EPOCH, pod.created, pod.name), default=None)


def _last(pods: list[Pod]) -> Pod:
    return max(pods, key=lambda pod: (pod.ended or EPOCH, pod.created, pod.name))
