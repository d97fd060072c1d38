"""What tasks wait for or are doing, in the words of the status."""

from __future__ import annotations

from assay_api.names import Reason
from assay_api.result import Progress, shorten
from assay_api.status import TaskStatus
from assay_operator.audits.observed import Observed
from assay_operator.audits.states import RunStates
from assay_operator.audits.tasks import TaskState

WORDS = 1000


def task_status(state: TaskState, observed: Observed) -> TaskStatus:
    """The line of a task that has no entry elsewhere."""
    message = shorten(doing(state, observed) or "", WORDS) or None
    return TaskStatus(name=state.task.key, state=state.state, message=message, retries=state.retries or None)


def doing(state: TaskState, observed: Observed) -> str | None:
    """What a task waits for or is doing."""
    progress, trouble = _told(state, observed), state.trouble
    if trouble is None:
        return _doing(progress) if progress else None
    said = str(trouble) if trouble.reason != Reason.PENDING else trouble.message
    return f"{_doing(progress)} ({said})" if progress else said


def progress_of(states: RunStates, observed: Observed) -> str | None:
    """What the tasks at work are doing, in a few words."""
    doing = [f"{state.task.key}: {_doing(progress)}" for state in states.all if (progress := _told(state, observed))]
    return shorten("; ".join(doing), 512) or None


def _told(state: TaskState, observed: Observed) -> Progress | None:
    lost = state.trouble is not None and state.trouble.reason == Reason.NODE_LOST
    return observed.progress.get(state.job.uid) if state.state == "Running" and state.job and not lost else None


def _doing(progress: Progress) -> str:
    total = f"/{progress.total}" if progress.total is not None else ""
    counted = f" {progress.done}{total} {progress.unit}".rstrip() if progress.done or progress.total else ""
    said = f": {progress.message}" if progress.message else ""
    return shorten(f"{progress.stage}{counted}{said}", 120)
