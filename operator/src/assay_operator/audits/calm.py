"""What is not worth a write of its own: that a task which says little of itself, like the summary, runs by now.

A status is stored, and told to everybody who watches, each time it is written. The summary of a run takes seconds: that
its Pod has started is told with its end, or where it takes longer.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

from assay_api.names import Phase, Reason
from assay_api.status import AuditStatus
from assay_operator.audits.states import RunStates

CALM_SECONDS: Final = 10.0
"""A task whose Job is older says that it runs."""


def calm_seconds(states: RunStates, old: AuditStatus, new: AuditStatus, now: datetime) -> float:
    """Seconds for which the old status says enough; 0 where there is more news than that, or none.

    Args:
        states: what became of the tasks.
        old: the status on record.
        new: the status as it would be written.
        now: the time.
    """
    if new == old or new.phase != Phase.RUNNING.value or _begun(new) != _begun(old):
        return 0.0
    made = [state.job.created for state in states.others if state.job and not state.over]
    return max((CALM_SECONDS - (now - since).total_seconds() for since in made), default=0.0)


def _begun(status: AuditStatus) -> AuditStatus:
    """The status as if every task without an entry that is about to run did."""
    tasks = (task.model_copy(update={"state": "Running"}) if task.state == "Pending" else task for task in status.tasks)
    conditions = (
        condition.model_copy(update={"reason": Reason.RUNNING.value})
        if condition.reason == Reason.PENDING
        else condition
        for condition in status.conditions
    )
    return status.model_copy(update={"tasks": tuple(tasks), "conditions": tuple(conditions)})
