"""What became of one task: an ordered list of rules, of which the first that applies decides.

A record of the same run stands: Jobs and Pods may be gone by then. A result counts once its Pod succeeded, and only
where the task's own Job, by UID, controls that Pod. Where a Job succeeded and its Pod went before it was read, the task
is asked again by a recovery Job, which finds the stored report and answers without measuring anew.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Final

from assay_api.names import ExitCode, Reason
from assay_api.plan import Task
from assay_api.status import Entry
from assay_operator.audits.causes import failure, kept_by, last_of, mending_left, tried_again
from assay_operator.audits.elsewhere import elsewhere, left_to_their_own, read_here
from assay_operator.audits.facts import Facts
from assay_operator.audits.observed import Observed
from assay_operator.audits.queueing import queued
from assay_operator.audits.tasks import TaskState
from assay_operator.audits.troubles import (
    SILENCE_SECONDS,
    Trouble,
    answer_lost,
    how_it_ended,
    lost_trouble,
    newest,
    out_of_memory,
    refusal_trouble,
    told_error,
    unfit_trouble,
)

OUT_OF_MEMORY_KILLS = 2


def task_state(
    task: Task, observed: Observed, recorded: Entry | None, now: datetime, ahead: Task | None = None
) -> TaskState:
    """What became of a task.

    Args:
        task: the task.
        observed: what is there.
        recorded: its entry of the status, where the status speaks of this run.
        now: the time.
        ahead: the task that went ahead of it, where one did.
    """
    facts = Facts.of(task, observed, recorded, now, ahead)
    return replace(next(state for rule in RULES if (state := rule(facts))), ahead=ahead)


def on_record(facts: Facts) -> TaskState | None:
    """The status says how it ended."""
    recorded, job = facts.recorded, facts.unfinished
    if recorded is None or not (recorded.state == "Finished" or recorded.state == "Failed"):
        return None
    failed = recorded.state == "Failed"
    return TaskState(
        facts.task, recorded.state, facts.result, recorded=recorded, job=job, stop=failed and job is not None,
        trouble=Trouble.read(recorded.message or "") if failed else None, retries=recorded.retries or 0,
    )  # fmt: skip


def answered(facts: Facts) -> TaskState | None:
    """A Pod of its own Job succeeded and told the result, or one of the Job that went ahead of it."""
    if facts.result is None:
        return None
    retries = facts.main.failed if facts.main else 0
    return TaskState(facts.task, "Finished", result=facts.result, job=facts.unfinished, retries=retries)


def unmade(facts: Facts) -> TaskState | None:
    """It has no Job, perhaps because the API server would not have it."""
    return None if facts.made else _in_want_of_a_job(TaskState(facts.task, "Waiting"), facts)


def closing(facts: Facts) -> TaskState | None:
    """Its Job is closed, and the Pod that closed it is not seen to be over: it is told by another watch."""
    if not facts.job.finished or facts.grace_left <= 0:
        return None
    if facts.recovery or not facts.job.failure:
        return TaskState(facts.task, "Running", job=facts.job, check_after=facts.grace_left)
    if facts.job.failure == "DeadlineExceeded":
        return None
    return TaskState(facts.task, "Retrying", job=facts.job, check_after=facts.grace_left, retries=facts.job.failed)


def asked_in_vain(facts: Facts) -> TaskState | None:
    """Its recovery Job is closed and told nothing either."""
    if not (facts.recovery and facts.job.finished):
        return None
    return TaskState(facts.task, "Failed", trouble=Trouble(Reason.ERROR, answer_lost(facts.job, last_of(facts))))


def failed(facts: Facts) -> TaskState | None:
    """Its Job failed: no Pod is tried any more."""
    if not facts.job.failure:
        return None
    return TaskState(facts.task, "Failed", trouble=failure(facts), retries=max(facts.job.failed - 1, 0))


def told_an_error(facts: Facts) -> TaskState | None:
    """Its Job succeeded, by a Pod that told an error."""
    last = last_of(facts) if facts.job.succeeded else None
    if last is None or told_error(last) is None:
        return None
    return TaskState(facts.task, "Failed", trouble=failure(facts))


def answer_unread(facts: Facts) -> TaskState | None:
    """Its Job succeeded without an answer that can be read: it is asked for its stored report."""
    if not facts.job.succeeded:
        return None
    if facts.job.elsewhere and facts.task.together:
        return left_to_their_own(facts)
    again = Trouble(Reason.PENDING, "reading its stored report again")
    state = TaskState(facts.task, "Running", recover=True, trouble=again)
    return _in_want_of_a_job(read_here(state) if facts.job.elsewhere else state, facts)


def out_of_memory_again(facts: Facts) -> TaskState | None:
    """Its Pods are killed for their memory one after another: more tries are a waste."""
    kills = facts.killed
    if len(kills) < OUT_OF_MEMORY_KILLS:
        return None
    trouble = Trouble(Reason.OUT_OF_MEMORY, f"{len(kills)} times {out_of_memory(newest(kills))}")
    return TaskState(facts.task, "Failed", trouble=trouble, job=facts.job, stop=True, retries=len(kills) - 1)


def suspended(facts: Facts) -> TaskState | None:
    """Its Job is suspended."""
    return TaskState(facts.task, "Suspended", job=facts.job, retries=facts.retries) if facts.job.suspended else None


def lost(facts: Facts) -> TaskState | None:
    """Its Pod is on a node that does not answer."""
    if not (facts.pod and facts.pod.lost):
        return None
    return TaskState(facts.task, "Running", job=facts.job, retries=facts.retries, trouble=lost_trouble(facts.pod))


def running(facts: Facts) -> TaskState | None:
    """A Pod of it runs, perhaps not the first."""
    if not (facts.pod and facts.pod.phase == "Running"):
        return None
    return TaskState(facts.task, "Running", job=facts.job, retries=facts.retries, trouble=tried_again(facts))


def input_refused(facts: Facts) -> TaskState | None:
    """Its Pod refused the input, which is not tried again: the Job controller is about to close the Job."""
    if facts.pod or not facts.failed or newest(facts.failed).exit_code != ExitCode.INVALID_INPUT:
        return None
    return TaskState(facts.task, "Running", job=facts.job)


def outside_too_long(facts: Facts) -> TaskState | None:
    """What is to be mended outside was not, for longer than the spec allows; a try under way may prove it was."""
    if facts.pod or (left := mending_left(facts)) is None or left > 0:
        return None
    limit, last = facts.task.spec.pending_deadline_seconds, newest(facts.failed)
    words = f"{how_it_ended(last)} (tried for {limit} s, spec.pendingDeadlineSeconds)"
    trouble = Trouble(Reason.CONFIG_ERROR, words)
    return TaskState(facts.task, "Failed", job=facts.job, stop=True, retries=facts.retries, trouble=trouble)


def retried(facts: Facts) -> TaskState | None:
    """Its Pod failed, and the Job controller is about to make another."""
    if facts.pod or not facts.failed:
        return None
    return TaskState(
        facts.task, "Retrying", job=facts.job, retries=facts.retries, trouble=tried_again(facts),
        check_after=mending_left(facts),
    )  # fmt: skip


def done_unread(facts: Facts) -> TaskState | None:
    """Its Pod succeeded without an answer that can be read, and the Job controller is about to close the Job."""
    if facts.pod or not any(pod.phase == "Succeeded" for pod in facts.pods):
        return None
    return TaskState(facts.task, "Running", job=facts.job, retries=facts.retries)


def pending_too_long(facts: Facts) -> TaskState | None:
    """It has been kept from starting for longer than the spec allows."""
    limit = facts.task.spec.pending_deadline_seconds
    if facts.waited < limit:
        return None
    never = f"its Pod never started, see `kubectl describe job {facts.job.name}`"
    known = kept_by(facts, ended=True) or Trouble(Reason.PENDING, never)
    trouble = Trouble(known.reason, f"{known.message} (waited {limit} s, spec.pendingDeadlineSeconds)")
    return TaskState(facts.task, "Failed", job=facts.job, stop=True, retries=facts.retries, trouble=trouble)


def pending(facts: Facts) -> TaskState | None:
    """It has not started yet; what keeps it may show only in an event, which is asked for after a silence."""
    trouble, waited = kept_by(facts) or tried_again(facts), facts.waited
    check = facts.task.spec.pending_deadline_seconds - waited
    if kept_by(facts) is None and waited <= SILENCE_SECONDS:
        check = min(check, SILENCE_SECONDS - waited + 0.1)
    if facts.crowded:
        # That tasks of other audits have ended is not told to this one.
        check = min(check, 2 * SILENCE_SECONDS)
    return TaskState(
        facts.task, "Pending", job=facts.job, retries=facts.retries, trouble=trouble, check_after=check
    )  # fmt: skip


RULES: Final[tuple[Callable[[Facts], TaskState | None], ...]] = (
    # What is settled stays settled, whatever is left of it.
    on_record,
    answered,
    # Without a Job nothing else can be asked; every rule below this one has one.
    unmade,
    # A Job that is closed, once its Pods are known.
    closing,
    asked_in_vain,
    failed,
    told_an_error,
    answer_unread,
    # A Job that goes on: first what ends or holds it, then what its Pods do.
    out_of_memory_again,
    queued,
    suspended,
    elsewhere,
    lost,
    running,
    input_refused,
    outside_too_long,
    retried,
    done_unread,
    # Nothing has started.
    pending_too_long,
    pending,
)
"""Rules in their order; the last one always applies."""


def _in_want_of_a_job(state: TaskState, facts: Facts) -> TaskState:
    """A task in want of a Job, which the API server may have refused for good or for too long."""
    refusal = facts.refusal(recovery=state.recover)
    if facts.task.spec.suspend:
        return state
    if refusal is None:
        # An autoscaler adds a node for a Pod that waits, so the task gets its Job all the same.
        unfit = facts.fits if facts.fits and facts.fits.hopeless and not state.recover else None
        return replace(state, trouble=unfit_trouble(facts.task, unfit)) if unfit else state
    trouble, left = refusal_trouble(refusal, facts.task.spec.pending_deadline_seconds, facts.now)
    if left:
        return replace(state, trouble=trouble, check_after=left)
    return replace(state, state="Failed", recover=False, trouble=trouble)
