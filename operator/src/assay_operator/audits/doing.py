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
    progress, trouble = told(state, observed), state.trouble
    if trouble is None:
        return in_words(progress) if progress else None
    said = str(trouble) if trouble.reason != Reason.PENDING else trouble.message
    return f"{in_words(progress)} ({said})" if progress else said


def why_not(state: TaskState, states: RunStates) -> str | None:
    """Why a task is not done, or not by itself: what it needs failed, or another audits it among others."""
    every = {each.task.key: each for each in states.all}
    if cause := states.standing.skipped.get(state.task.key):
        first = every[cause]
        return f"not run, for {first.task.about.makes} {'failed' if first.over else 'had no reason to be made'}"
    ahead = every[state.ahead.key] if state.ahead and not state.exists else None
    if ahead is None or not ahead.exists or ahead.over:
        return None
    return f"one of {len(ahead.task.together)} in {ahead.task.key}"


def progress_of(states: RunStates, observed: Observed) -> str | None:
    """What the tasks at work are doing, in a few words."""
    doing = [f"{state.task.key}: {in_words(progress)}" for state in states.all if (progress := told(state, observed))]
    return shorten("; ".join(doing), 512) or None


def told(state: TaskState, observed: Observed) -> Progress | None:
    """What a task that is at work told of it, where it can be heard."""
    lost = state.trouble is not None and state.trouble.reason == Reason.NODE_LOST
    return observed.progress.get(state.job.uid) if state.state == "Running" and state.job and not lost else None


def in_words(progress: Progress) -> str:
    """What a task is doing, in a few words."""
    if not (progress.stage or progress.done or progress.total):
        # It waits for what its first stage is to begin with.
        return shorten(progress.message, 120)
    total = f"/{progress.total}" if progress.total is not None else ""
    counted = f" {progress.done}{total} {progress.unit}".rstrip() if progress.done or progress.total else ""
    said = f": {progress.message}" if progress.message else ""
    return shorten(f"{progress.stage}{counted}{said}", 120)
