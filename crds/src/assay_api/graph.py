"""What may start, what never will, and whether all is over: one judgement over a plan, for everybody who runs it.

It looks at what became of the tasks and at nothing else, so it can be asked at any time and as often as one likes.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from assay_api.plan import Task
from assay_api.report import Verdict


@dataclass(frozen=True)
class Outcome:
    """What became of a task.

    Attributes:
        state: Waiting: nobody has started it.
        verdict: where it finished with one.
    """

    state: Literal["Waiting", "Running", "Finished", "Failed"]
    verdict: Verdict | None = None

    @property
    def over(self) -> bool:
        """Whether it finished or failed."""
        return self.state in ("Finished", "Failed")


WAITING: Final = Outcome("Waiting")

Condition = Callable[[Iterable[tuple[Task, Outcome]]], bool]
CONDITIONS: Final[Mapping[str, Condition]] = {
    "always": lambda _: True,
    "aCandidateFailed": lambda before: any(t.about.candidate and o.verdict is Verdict.FAILED for t, o in before),
}
"""The conditions of a task: what must have become of the tasks that it comes after."""


@dataclass(frozen=True)
class Standing:
    """Where a run stands.

    Attributes:
        ready: tasks that may start now, in order.
        skipped: keys of tasks that will never start, with the key of the task that failed; its own key where it is its
            own condition that does not hold.
        over: whether nothing is left to do.
    """

    ready: tuple[Task, ...]
    skipped: Mapping[str, str]
    over: bool


def evaluate(tasks: Sequence[Task], outcomes: Mapping[str, Outcome]) -> Standing:
    """Where a run stands.

    Args:
        tasks: a plan, each task behind those that it comes after.
        outcomes: by key; a task without one waits.
    """
    ready: list[Task] = []
    skipped: dict[str, str] = {}
    by_key, open_ = {task.key: task for task in tasks}, set[str]()
    for task in tasks:
        outcome = outcomes.get(task.key, WAITING)
        if outcome.over:
            continue
        before = [(by_key[after.task], outcomes.get(after.task, WAITING)) for after in task.after]
        if outcome.state == "Waiting":
            if cause := _without_result(task, outcomes, skipped):
                skipped[task.key] = cause
                continue
            if not any(other.key in open_ for other, _ in before):
                if not CONDITIONS[task.condition](before):
                    skipped[task.key] = task.key
                    continue
                ready.append(task)
        open_.add(task.key)
    return Standing(tuple(ready), skipped, not open_)


def proven(tasks: Sequence[Task], begun: Collection[str]) -> frozenset[str]:
    """Keys of the tasks that must have finished, whatever is left of them: others began that needed their results.

    What goes ahead of others is wanted no more once one of those has begun.

    Args:
        tasks: a plan, each task behind those that it comes after.
        begun: keys of the tasks that are known to have begun.
    """
    finished: set[str] = set()
    by_key = {task.key: task for task in tasks}
    for task in reversed(tasks):
        if task.key in begun or task.key in finished:
            finished |= {
                after.task for after in task.after if after.when == "Finished" or by_key[after.task].about.ahead
            }
    return frozenset(finished)


def _without_result(task: Task, outcomes: Mapping[str, Outcome], skipped: Mapping[str, str]) -> str | None:
    """The task that failed or was skipped, and because of which this one will never have what it needs."""
    for after in task.after:
        if after.when == "Finished":
            if after.task in skipped:
                return skipped[after.task]
            if outcomes.get(after.task, WAITING).state == "Failed":
                return after.task
    return None
