"""A task whose Job waits in a queue of Kueue's: for its turn, or for somebody to mend what keeps it there."""

from __future__ import annotations

from assay_api.names import Reason
from assay_operator.audits.facts import Facts
from assay_operator.audits.tasks import TaskState
from assay_operator.audits.troubles import Trouble, clean


def queued(facts: Facts) -> TaskState | None:
    """Its Job waits in a queue of Kueue's: for room as long as it takes, for what is not there a limited time."""
    job = facts.job
    if not (job.suspended and job.queue) or facts.observed.audit.deleting:
        return None
    state = TaskState(facts.task, "Pending", job=job, retries=facts.retries)
    known, at = facts.observed.queued.get(job.uid), f"queued in {job.queue}"
    if known is None or not known.message:
        return state.with_trouble(Trouble(Reason.PENDING, f"{at}: Kueue starts it when there is room"))
    words = clean(f"{at}: {known.message}")
    if not known.stuck or facts.task.spec.suspend:
        return state.with_trouble(Trouble(Reason.PENDING, words))
    limit = facts.task.spec.pending_deadline_seconds
    left = limit - (facts.now - known.since).total_seconds()
    if left > 0:
        return state.with_trouble(Trouble(Reason.CONFIG_ERROR, words), check_after=left)
    trouble = Trouble(Reason.CONFIG_ERROR, f"{words} (waited {limit} s, spec.pendingDeadlineSeconds)")
    return TaskState(facts.task, "Failed", job=job, stop=True, retries=facts.retries, trouble=trouble)
