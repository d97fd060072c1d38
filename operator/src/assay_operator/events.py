"""What `kubectl describe` tells: one event per change, found by comparing the new status with the one on record.

Because the record is the memory, a restarted operator repeats nothing; because an event's name is a digest of what it
says, the API server refuses a repetition that comes all the same.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from assay_api.names import API_VERSION, FIELD_MANAGER, KIND, Condition, Phase, Reason
from assay_api.result import shorten
from assay_api.status import AuditStatus, CandidateStatus
from assay_operator.conditions import find
from assay_operator.observed import Audit
from assay_operator.outcome import REASONS, verdict_of
from assay_operator.status import RunStates, timestamp
from assay_operator.tasks import TaskState

NORMAL, WARNING = "Normal", "Warning"
MESSAGE = 1000


@dataclass(frozen=True)
class Event:
    """One event: Normal or Warning, a reason for machines, a sentence for people."""

    type: str
    reason: str
    message: str


def run_events(
    states: RunStates, old: AuditStatus, new: AuditStatus, created: Sequence[str], superseded: Sequence[str], jobs: int
) -> tuple[Event, ...]:
    """Events of one pass over a run.

    Args:
        states: what became of the tasks.
        old: the status on record.
        new: the status that is written now.
        created: names of the Jobs created, with the task's key, for example `fp16 (Job a-fp16-0123)`.
        superseded: names of the Jobs of earlier runs that are deleted.
        jobs: most Jobs at once.
    """
    return tuple(_run_events(states, old, new, created, superseded, jobs))


def end_events(old: AuditStatus, new: AuditStatus) -> tuple[Event, ...]:
    """The event of a run's end, where it ended just now."""
    before, now = find(old.conditions, Condition.COMPLETE), find(new.conditions, Condition.COMPLETE)
    if now is None or now.status != "True":
        return ()
    if old.run == new.run and before and before.status == "True" and before.message == now.message:
        return ()
    return (Event(NORMAL if now.reason == Reason.PASSED else WARNING, "Complete", f"{now.reason}: {now.message}"),)


def superseded_events(superseded: Sequence[str]) -> tuple[Event, ...]:
    """The event of an earlier run that is given up."""
    if not superseded:
        return ()
    count = f"{len(superseded)} Job{'s' if len(superseded) > 1 else ''}"
    return (Event(NORMAL, Reason.SUPERSEDED, f"A new run takes over: {count} of the earlier one go."),)


def event_manifest(audit: Audit, event: Event, now: datetime) -> dict[str, Any]:
    """The event as the API takes it, named by what it says."""
    says = "\0".join((audit.uid, str(audit.generation), event.reason, event.message))
    name = f"{audit.name[:200]}.{hashlib.sha256(says.encode(errors='replace')).hexdigest()[:16]}"
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": name, "namespace": audit.namespace},
        "involvedObject": {
            "apiVersion": API_VERSION,
            "kind": KIND,
            "name": audit.name,
            "namespace": audit.namespace,
            "uid": audit.uid,
        },
        "type": event.type,
        "reason": event.reason,
        "message": shorten(event.message, MESSAGE),
        "source": {"component": FIELD_MANAGER},
        "reportingComponent": FIELD_MANAGER,
        "firstTimestamp": timestamp(now),
        "lastTimestamp": timestamp(now),
        "count": 1,
    }


def _run_events(
    states: RunStates, old: AuditStatus, new: AuditStatus, created: Sequence[str], superseded: Sequence[str], jobs: int
) -> Iterator[Event]:
    same = old.run == states.run
    recorded = {candidate.name: candidate for candidate in old.candidates} if same else {}
    yield from superseded_events(superseded)
    if not same:
        count = f"{len(states.candidates)} candidate{'s' if len(states.candidates) > 1 else ''}"
        yield Event(
            NORMAL, "Started", f"Run {states.run}: golden outputs, then {count}, then the summary; {jobs} Jobs at most."
        )
    held, was_held = (status.phase == Phase.SUSPENDED.value for status in (new, old))
    if held and not was_held:
        yield Event(NORMAL, Reason.SUSPENDED, "Suspended: no new task starts.")
    if same and was_held and not held:
        yield Event(NORMAL, "Resumed", "Resumed.")
    yield from _helper_events(states, old, recorded)
    for state in states.candidates:
        yield from _candidate_events(state, recorded.get(state.task.key), new)
    for name in created:
        yield Event(NORMAL, "JobCreated", f"Created {name}.")
    yield from end_events(old, new)


def _helper_events(states: RunStates, old: AuditStatus, recorded: dict[str, CandidateStatus]) -> Iterator[Event]:
    """Events of golden and summary, which have no entry of their own in the status."""
    untouched = recorded and all(candidate.state == "Waiting" for candidate in recorded.values())
    result = states.golden.result
    if untouched and result and any(state.exists for state in states.candidates):
        yield Event(NORMAL, "GoldenFinished", f"golden: {result.message or 'golden outputs are ready'}")
    said = find(old.conditions, Condition.RECONCILING)
    for state in (states.golden, states.summary):
        if state.trouble and not state.over and state.trouble.reason not in (Reason.PENDING, Reason.SUSPENDED):
            message = f"{state.task.key}: {state.trouble.message}"
            if said is None or said.message != message:
                yield Event(WARNING, state.trouble.reason, message)


def _candidate_events(state: TaskState, before: CandidateStatus | None, new: AuditStatus) -> Iterator[Event]:
    key, trouble = state.task.key, state.trouble
    was_over = before is not None and before.state in ("Finished", "Failed")
    if was_over or state.recorded:
        return
    if state.state == "Finished" and state.result:
        verdict = verdict_of(state)
        reason = REASONS[verdict] if verdict else Reason.INCONCLUSIVE
        kind = NORMAL if reason == Reason.PASSED else WARNING
        worst = state.result.worst
        said = (worst.message if worst else state.result.message) or str(reason).lower()
        yield Event(kind, reason, f"{key}: {said}")
    elif trouble and trouble.reason not in (Reason.PENDING, Reason.SUSPENDED):
        if trouble.reason == Reason.RETRYING:
            if state.retries > ((before.retries or 0) if before else 0):
                yield Event(WARNING, trouble.reason, f"{key}: try {state.retries} failed: {trouble.message}")
        elif before is None or before.message != str(trouble) or state.state == "Failed":
            yield Event(WARNING, trouble.reason, f"{key}: {trouble.message}")
