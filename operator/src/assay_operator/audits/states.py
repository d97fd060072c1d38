"""What became of all tasks of a run, and where that leaves it: what may start, what never will, whether it is over."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property

from assay_api.graph import Outcome, Standing, evaluate, proven
from assay_api.plan import concluding
from assay_api.status import Entry
from assay_operator.audits.observed import Observed
from assay_operator.audits.rules import task_state
from assay_operator.audits.run import Run
from assay_operator.audits.tasks import TaskState

Recorded = Mapping[str, Entry]


@dataclass(frozen=True)
class RunStates:
    """The tasks of one run and what became of each, in the order of work."""

    run: Run
    all: tuple[TaskState, ...]

    @property
    def candidates(self) -> tuple[TaskState, ...]:
        """The tasks that are about a candidate; each has an entry in the status."""
        return tuple(state for state in self.all if state.task.candidate)

    @property
    def repairs(self) -> tuple[TaskState, ...]:
        """The tasks that are done beside what was asked; each has an entry of its own once it began."""
        return tuple(state for state in self.all if state.task.about.beside)

    @property
    def judged(self) -> tuple[TaskState, ...]:
        """The candidates that count for the verdict: all but those whose own condition does not hold."""
        skipped = self.standing.skipped
        return tuple(state for state in self.candidates if skipped.get(state.task.key) != state.task.key)

    @property
    def others(self) -> tuple[TaskState, ...]:
        """The tasks that have no entry."""
        return tuple(state for state in self.all if not (state.task.candidate or state.task.about.beside))

    @property
    def conclusion(self) -> TaskState:
        """The task whose report is the audit's."""
        key = concluding(self.run.tasks).key
        return next(state for state in self.all if state.task.key == key)

    @cached_property
    def standing(self) -> Standing:
        """Where the run stands."""
        return evaluate(self.run.tasks, {state.task.key: _outcome(state) for state in self.all})

    def replaced(self, *states: TaskState) -> RunStates:
        """The run with other states of some tasks."""
        others = {state.task.key: state for state in states}
        return replace(self, all=tuple(others.get(state.task.key, state) for state in self.all))


def run_states(run: Run, observed: Observed, recorded: Recorded, now: datetime) -> RunStates:
    """What became of the tasks of a run.

    Args:
        run: the run.
        observed: what is there.
        recorded: entries of the status by task, where the status speaks of this run.
        now: the time.
    """
    ahead = {key: task for task in run.tasks for key in task.together}
    states = [task_state(t, observed, recorded.get(t.key), now, ahead.get(t.key)) for t in run.tasks]
    begun = {state.task.key for state in states if state.exists or _begun(recorded.get(state.task.key))}
    done = proven(run.tasks, begun)
    return RunStates(run, tuple(_finished(state) if state.task.key in done else state for state in states))


def _begun(recorded: Entry | None) -> bool:
    return recorded is not None and recorded.state != "Waiting"


def _finished(state: TaskState) -> TaskState:
    """A task that must have finished, though its Job has been and gone; one that nothing needs may have failed."""
    lost = state.state == "Waiting" or (state.state == "Failed" and state.task.about.needed)
    return TaskState(state.task, "Finished", ahead=state.ahead) if lost else state


def _outcome(state: TaskState) -> Outcome:
    match state.state:
        case "Waiting" | "Finished" | "Failed":
            return Outcome(state.state, state.verdict)
        case _:
            return Outcome("Running")
