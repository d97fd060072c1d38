"""Which of the tasks that might start do start, where the operator runs only so many at once."""

from __future__ import annotations

from dataclasses import dataclass, replace

from assay_api.names import Reason
from assay_operator.audits.states import RunStates
from assay_operator.audits.tasks import TaskState
from assay_operator.audits.troubles import Trouble
from assay_operator.objects.line import Turn
from assay_operator.objects.raw import Manifest
from assay_operator.objects.resources import Ref

Patches = tuple[tuple[Ref, Manifest], ...]


@dataclass(frozen=True)
class Started:
    """What starts now.

    Attributes:
        tasks: tasks that get a Job.
        patches: Jobs that are suspended or resumed.
        states: the run, with what waits saying so.
        waits: how many tasks wait for their turn.
    """

    tasks: list[TaskState]
    patches: Patches
    states: RunStates
    waits: int = 0


def in_turn(states: RunStates, wanted: list[TaskState], patches: Patches, turn: Turn | None) -> Started:
    """What of it may start now: Jobs that go on come before new ones.

    Args:
        states: the run.
        wanted: tasks that would get a Job, in order.
        patches: Jobs that would be suspended, or resumed; all of them one or the other.
        turn: how many may start; None: all.
    """
    if turn is None or states.run.spec.suspend:
        return Started(wanted, patches, states)
    resumed, left = patches[: turn.free], max(turn.free - len(patches), 0)
    held = {ref.name for ref, _ in patches[turn.free :]}
    stopped = [state for state in states.all if state.job and state.job.name in held]
    waiting = [_waits(state, turn) for state in (*stopped, *wanted[left:])]
    return Started(wanted[:left], resumed, states.replaced(*waiting), len(waiting))


def _waits(state: TaskState, turn: Turn) -> TaskState:
    """The task, saying what it waits for; one that only reads a stored report goes on being what it is."""
    if state.recover:
        return state
    trouble = Trouble(Reason.PENDING, f"waits for its turn: {turn.why} (a limit of the operator's)")
    return replace(state, state="Pending" if state.job else "Waiting", trouble=trouble)
