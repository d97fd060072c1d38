"""Why a task waits, is tried again or failed: one trouble, from all that is known of the task."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from assay_api.names import ExitCode, Reason
from assay_api.plan import Task
from assay_operator.audits.elsewhere import failed_elsewhere
from assay_operator.audits.facts import Facts
from assay_operator.audits.troubles import (
    Trouble,
    clean,
    how_it_ended,
    job_trouble,
    newest,
    out_of_memory,
    pod_trouble,
    room_trouble,
    told_error,
)
from assay_operator.objects.children import Pod
from assay_operator.objects.raw import timestamp


def kept_by(facts: Facts, *, ended: bool = False) -> Trouble | None:
    """What keeps it from starting, as far as that is known; `ended`: nothing is waited for any more."""
    if facts.pod is None:
        return job_trouble(facts.hint)
    if facts.crowded and not ended:
        return room_trouble(facts.pod)
    return pod_trouble(facts.pod, facts.task, facts.hint, facts.fits, ended=ended)


def tried_again(facts: Facts) -> Trouble | None:
    """Why it is tried again, where a Pod of it failed."""
    if not facts.failed:
        return None
    runs = facts.pod is not None and facts.pod.phase == "Running"
    return again_trouble(facts.failed, facts.retries, facts.task, runs=runs)


def mending_left(facts: Facts) -> float | None:
    """Seconds for which a task that was set up wrongly outside is tried again yet; None where that is not so."""
    error = told_error(newest(facts.failed)) if facts.failed else None
    if error is None or error.again != "Setup":
        return None
    since = (facts.now - since_outside(facts.failed)).total_seconds()
    return facts.task.spec.pending_deadline_seconds - since


def last_of(facts: Facts) -> Pod | None:
    """The Pod of the Job that tells which ended last, or began last."""
    return newest(facts.pods) if facts.pods else None


def failure(facts: Facts) -> Trouble:
    """Why its Job failed, or told an error."""
    job = facts.job
    pods = facts.failed if job.failure else facts.pods
    last = newest(pods) if pods else None
    error = told_error(last) if last else None
    if error and error.reason == "InvalidInput":
        return Trouble(Reason.INVALID_INPUT, error.message)
    if job.failure == "DeadlineExceeded":
        seconds, field = facts.task.deadline_seconds, facts.task.deadline_field
        if error and error.again:
            return Trouble(Reason.ERROR, f"{error.message} (tried for {seconds} s, {field})")
        return Trouble(
            Reason.DEADLINE_EXCEEDED,
            f"not done within {seconds} s: raise {field}, or give it less to do",
        )
    if last is None and job.elsewhere:
        return failed_elsewhere(job)
    if last is None:
        return Trouble(Reason.ERROR, job.failure_message or f"Job {job.name} failed ({job.failure})")
    if last.exit_code == ExitCode.INVALID_INPUT:
        return Trouble(Reason.INVALID_INPUT, f"it refused its input without a word, see `kubectl logs {last.name}`")
    if last.out_of_memory:
        return Trouble(Reason.OUT_OF_MEMORY, out_of_memory(last))
    tries = f"{job.failed} tries failed, the last: " if job.failed > 1 else ""
    return Trouble(Reason.ERROR, f"{tries}{how_it_ended(last)}")


def again_trouble(failed: Sequence[Pod], tries: int, task: Task, *, runs: bool) -> Trouble:
    """Why a task is tried again, and until when.

    Args:
        failed: its Pods that failed, of which there is one.
        tries: how many there were.
        task: what it is.
        runs: another one is at work, and may find everything mended.
    """
    last = newest(failed)
    error = told_error(last)
    if error is None or error.again is None:
        return Trouble(Reason.RETRYING, f"try {tries} failed: {how_it_ended(last)}")
    words = clean(error.message)
    if runs:
        return Trouble(Reason.RETRYING, f"runs again after: {words}")
    again = f"{words}; once that is mended it goes on by itself: it is tried again, with pauses of at most 10 minutes,"
    if error.again == "Outage":
        return Trouble(Reason.RETRYING, f"{again} for {task.deadline_seconds} s ({task.deadline_field})")
    until = timestamp(since_outside(failed) + timedelta(seconds=task.spec.pending_deadline_seconds))
    return Trouble(Reason.CONFIG_ERROR, f"{again} until {until} (spec.pendingDeadlineSeconds)")


def since_outside(failed: Sequence[Pod]) -> datetime:
    """Since when it fails of nothing but what is to be mended outside: the end of the first such Pod in a row."""
    since = ended = newest(failed)
    for pod in sorted(failed, key=lambda pod: (pod.ended or pod.created, pod.created), reverse=True):
        error = told_error(pod)
        if error is None or error.again is None:
            break
        since = pod
    return since.ended or ended.ended or since.created
