"""What `kubectl describe` tells: one event per change, found by comparing the new status with the one on record.

Because the record is the memory, a restarted operator repeats nothing; because an event's name is a digest of what it
says, the API server refuses a repetition that comes all the same.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from assay_api.finding import Verdict
from assay_api.names import Condition, Phase, Reason
from assay_api.plan import Task
from assay_api.status import AuditStatus, CandidateStatus
from assay_api.task_kinds import KINDS
from assay_operator.audits.conditions import find
from assay_operator.audits.outcome import REASONS
from assay_operator.audits.repairs import repair_events
from assay_operator.audits.states import RunStates
from assay_operator.audits.tasks import TaskState
from assay_operator.objects.events import NORMAL, WARNING, Event


def run_events(
    states: RunStates, old: AuditStatus, new: AuditStatus, created: Sequence[str], superseded: Sequence[str]
) -> tuple[Event, ...]:
    """Events of one pass over a run.

    Args:
        states: what became of the tasks.
        old: the status on record.
        new: the status that is written now.
        created: names of the Jobs created, with the task's key, for example `fp16 (Job a-fp16-0123)`.
        superseded: names of the Jobs of earlier runs that are deleted.
    """
    return tuple(_run_events(states, old, new, created, superseded))


def end_events(old: AuditStatus, new: AuditStatus) -> tuple[Event, ...]:
    """The event of a run's end, where it ended just now."""
    before, now = find(old.conditions, Condition.COMPLETE), find(new.conditions, Condition.COMPLETE)
    if now is None or now.status != "True":
        return ()
    if old.run == new.run and before and before.status == "True" and before.message == now.message:
        return ()
    return (Event(NORMAL if now.reason == Reason.PASSED else WARNING, "Complete", f"{now.reason}: {now.message}"),)


def superseded_events(superseded: Sequence[str], by: str = "A new run takes over") -> tuple[Event, ...]:
    """The event of an earlier run that is given up, and for what."""
    if not superseded:
        return ()
    many = len(superseded) > 1
    go = f"{len(superseded)} Job{'s' if many else ''} of the earlier run {'go' if many else 'goes'}"
    return (Event(NORMAL, Reason.SUPERSEDED, f"{by}: {go}."),)


def _run_events(
    states: RunStates, old: AuditStatus, new: AuditStatus, created: Sequence[str], superseded: Sequence[str]
) -> Iterator[Event]:
    same = old.run == states.run.digest
    recorded = {candidate.name: candidate for candidate in old.candidates} if same else {}
    yield from superseded_events(superseded)
    if not same:
        steps = ", then ".join(_steps(states.run.tasks))
        yield Event(
            NORMAL, "Started", f"Run {states.run.digest}: {steps}; {states.run.spec.max_parallel} Jobs at most."
        )
    held, was_held = (status.phase == Phase.SUSPENDED.value for status in (new, old))
    if held and not was_held:
        yield Event(NORMAL, Reason.SUSPENDED, "Suspended: no new task starts.")
    if same and was_held and not held:
        yield Event(NORMAL, "Resumed", "Resumed.")
    yield from _other_events(states, old, recorded)
    for state in states.candidates:
        before = recorded.get(state.task.key)
        if recorded and before is None and state.verdict is Verdict.PASSED:
            continue  # It passed, and was told then: the full status on record has no room left for it.
        yield from _candidate_events(state, before, new)
    repairs = {repair.name: repair for repair in old.repairs} if same else {}
    for state in states.repairs:
        yield from repair_events(state, repairs.get(state.task.key))
    for name in created:
        yield Event(NORMAL, "JobCreated", f"Created {name}.", of_creation=True)
    yield from end_events(old, new)


def _steps(tasks: Sequence[Task]) -> Iterator[str]:
    """What a run does, step by step; kinds that are only done on a condition are not told ahead."""
    kinds = Counter(task.kind for task in tasks if task.condition == "always")
    for kind, count in kinds.items():
        step = KINDS[kind].step
        yield f"{count} {step}{'s' if count > 1 else ''}" if KINDS[kind].candidate else step


def _other_events(states: RunStates, old: AuditStatus, recorded: dict[str, CandidateStatus]) -> Iterator[Event]:
    """Events of tasks that have no entry of their own in the status: that they finished shows in those after them."""
    said = find(old.conditions, Condition.RECONCILING)
    for state in states.others:
        after = [s for s in states.candidates if state.task.key in (before.task for before in s.task.after)]
        known = [recorded[s.task.key] for s in after if s.task.key in recorded]
        untouched = known and all(candidate.state == "Waiting" for candidate in known)
        if untouched and state.result and any(s.exists for s in after):
            told = state.result.message or f"{state.task.about.step} are ready"
            yield Event(NORMAL, f"{state.task.kind.capitalize()}Finished", f"{state.task.key}: {told}")
    for state in states.others:
        if state.state == "Failed" and not state.task.about.needed and not _failed_before(state, old):
            yield Event(WARNING, state.trouble.reason if state.trouble else Reason.ERROR, _left_to_others(state))
        if state.trouble and not state.over and state.trouble.reason not in (Reason.PENDING, Reason.SUSPENDED):
            message = f"{state.task.key}: {state.trouble.message}"
            if said is None or said.message != message:
                yield Event(WARNING, state.trouble.reason, message)


def _failed_before(state: TaskState, old: AuditStatus) -> bool:
    return any((entry.name, entry.state) == (state.task.key, "Failed") for entry in old.tasks)


def _left_to_others(state: TaskState) -> str:
    why = f": {state.trouble.message}" if state.trouble else ""
    return f"{state.task.key} failed{why}; what it has not answered gets Jobs of its own"


def _candidate_events(state: TaskState, before: CandidateStatus | None, new: AuditStatus) -> Iterator[Event]:
    key, trouble = state.task.key, state.trouble
    was_over = before is not None and before.state in ("Finished", "Failed")
    if was_over or state.recorded:
        return
    if state.state == "Finished" and state.result:
        reason = REASONS[state.verdict] if state.verdict else Reason.INCONCLUSIVE
        kind = NORMAL if reason == Reason.PASSED else WARNING
        worst = state.result.worst
        said = (worst.message if worst else state.result.message) or str(reason).lower()
        yield Event(kind, reason, f"{key}: {said}")
    elif trouble and trouble.reason not in (Reason.PENDING, Reason.SUSPENDED):
        if trouble.reason == Reason.RETRYING:
            if state.retries > ((before.retries or 0) if before else 0):
                yield Event(WARNING, trouble.reason, f"{key}: {trouble.message}")
        elif before is None or before.message != str(trouble) or state.state == "Failed":
            yield Event(WARNING, trouble.reason, f"{key}: {trouble.message}")
