"""Where one task stands."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from assay_api.plan import Task
from assay_api.report import Verdict
from assay_api.result import TaskResult
from assay_api.status import Entry, RepairStatus
from assay_operator.audits.troubles import Trouble
from assay_operator.objects.children import Job

State = Literal["Waiting", "Pending", "Running", "Retrying", "Suspended", "Finished", "Failed"]


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
        here: that Job must run in this cluster, whatever queue the others are in.
        stop: its Job is to be deleted, for nothing good can come of it.
        ahead: the task that went ahead of it, where one did.
        check_after: seconds after which this may change without anything being seen to happen.
    """

    task: Task
    state: State
    result: TaskResult | None = None
    recorded: Entry | None = None
    trouble: Trouble | None = None
    retries: int = 0
    job: Job | None = None
    recover: bool = False
    here: bool = False
    stop: bool = False
    ahead: Task | None = None
    check_after: float | None = None

    def with_trouble(self, trouble: Trouble, check_after: float | None = None) -> TaskState:
        """The same, kept by something that may change without anything being seen to happen."""
        return replace(self, trouble=trouble, check_after=check_after)

    @property
    def over(self) -> bool:
        """Whether it finished or failed."""
        return self.state in ("Finished", "Failed")

    @property
    def finished(self) -> bool:
        """Whether it did what it was to do."""
        return self.state == "Finished"

    @property
    def exists(self) -> bool:
        """Whether it ever had a Job."""
        return self.state != "Waiting"

    @property
    def verdict(self) -> Verdict | None:
        """What it judged, where it did."""
        if isinstance(self.recorded, RepairStatus):
            return None
        if self.recorded:
            return Verdict(self.recorded.verdict) if self.recorded.verdict else None
        return self.result.verdict if self.result else None
