"""The one decision: from what is observed of an audit to what is to be done, without doing it.

    golden ──> candidates, at most maxParallel at once ──> summary

Everything follows from what is there now, never from what happened: run it twice and the second time there is nothing
left to do.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from pydantic import ValidationError

from assay_api.model import to_wire
from assay_api.plan import Task
from assay_api.status import AuditStatus, CandidateStatus
from assay_operator.events import Event, end_events, run_events, superseded_events
from assay_operator.jobs import job_manifest, job_name
from assay_operator.observed import Audit, Job, Observed, Pod
from assay_operator.outcome import held_against, report_digests
from assay_operator.run import Refused, Run, run_of
from assay_operator.settings import Settings
from assay_operator.status import RunStates, ended_status, invalid_status, run_status
from assay_operator.tasks import TaskState, task_state

FOREIGN_SECONDS = 2.0


@dataclass(frozen=True)
class Decision:
    """What is to be done.

    Attributes:
        create: Jobs to create.
        delete: names of Jobs to delete, with their Pods, in the background.
        suspend: names of Jobs with the value that their `suspend` is to have.
        status: the status to write; None where the one on record says the same.
        events: events to post, once everything else is done.
        requeue_after: seconds after which to look again even if nothing is seen to happen.
    """

    create: tuple[dict[str, Any], ...] = ()
    delete: tuple[str, ...] = ()
    suspend: tuple[tuple[str, bool], ...] = ()
    status: AuditStatus | None = None
    events: tuple[Event, ...] = ()
    requeue_after: float | None = None


def reconcile(observed: Observed, now: datetime, settings: Settings) -> Decision:
    """Decide what is to be done about an audit."""
    audit = observed.audit
    if audit.deleting:
        return Decision()
    run, old = run_of(audit), read_status(audit)
    digest = None if isinstance(run, Refused) else run.digest
    mine = [job for job in observed.jobs if job.owner == audit.uid and not job.deleting]
    superseded = tuple(job.name for job in mine if job.run != digest)
    if isinstance(run, Refused):
        new = invalid_status(run.sentences, observed, old, now)
        events = (*superseded_events(superseded), *end_events(old, new))
        return _decision(audit, new, delete=superseded, events=events)
    if old.run == run.digest and (ended := ended_status(run.spec, observed, old, now)):
        delete = (*superseded, *_left_over(run, mine, observed.pods))
        return _decision(audit, ended, delete=delete, events=end_events(old, ended))
    return _run_decision(run, observed, old, superseded, now, settings)


def read_status(audit: Audit) -> AuditStatus:
    """The status on record; an empty one where it is none of ours."""
    try:
        return AuditStatus.model_validate_json(audit.status)
    except ValidationError:
        return AuditStatus()


def _run_decision(
    run: Run, observed: Observed, old: AuditStatus, superseded: tuple[str, ...], now: datetime, settings: Settings
) -> Decision:
    audit = observed.audit
    recorded = {candidate.name: candidate for candidate in old.candidates} if old.run == run.digest else {}
    foreign = _foreign(run, observed)
    states = _states(run, observed, recorded, now)
    wanted = [] if run.spec.suspend else [s for s in _next(run, states) if _name(audit, s) not in foreign]
    reports = report_digests(states.candidates)
    manifests = tuple(job_manifest(audit, s.task, settings, recovery=s.recover, reports=reports) for s in wanted)
    states = _with_created(states, {state.task.key for state in wanted}, observed)
    new = run_status(run.spec, states, observed, old, now)
    created = [_created_words(state, m["metadata"]["name"]) for state, m in zip(wanted, manifests, strict=True)]
    events = run_events(states, old, new, created, superseded, run.spec.max_parallel)
    waits = [state.check_after for state in states.all if state.check_after is not None and not run.spec.suspend]
    return _decision(
        audit,
        new,
        create=manifests,
        delete=(*superseded, *foreign, *(state.job.name for state in states.all if state.stop and state.job)),
        suspend=_suspensions(run, observed.jobs, audit),
        events=events,
        requeue_after=min([*waits, *([FOREIGN_SECONDS] if foreign else [])], default=None),
    )


def _states(run: Run, observed: Observed, recorded: dict[str, CandidateStatus], now: datetime) -> RunStates:
    candidates = tuple(task_state(task, observed, recorded.get(task.key), now) for task in run.candidates)
    golden = task_state(run.golden, observed, None, now)
    begun = any(state.exists or _begun(recorded.get(state.task.key)) for state in candidates)
    if begun and golden.state in ("Waiting", "Failed"):
        # No candidate starts before golden has finished, so its Job has been and gone.
        golden = TaskState(run.golden, "Finished")
    summary = held_against(candidates, task_state(run.summary, observed, None, now))
    return RunStates(run.digest, golden, candidates, summary)


def _begun(recorded: CandidateStatus | None) -> bool:
    return recorded is not None and recorded.state != "Waiting"


def _next(run: Run, states: RunStates) -> list[TaskState]:
    """The tasks that get a Job now, in order, as many as maxParallel leaves room for."""
    room = run.spec.max_parallel - sum(state.exists and not (state.over or state.recover) for state in states.all)
    ready = [state for state in states.all if state.recover]
    if not states.golden.exists:
        ready.append(states.golden)
    elif states.golden.state == "Finished":
        ready += [state for state in states.candidates if not state.exists]
        if all(state.over for state in states.candidates) and not states.summary.exists:
            ready.append(states.summary)
    return ready[: max(room, 0)]


def _with_created(states: RunStates, created: set[str], observed: Observed) -> RunStates:
    """The states as they are once the Jobs exist; a Job that the API server refused before still waits."""

    def after(state: TaskState) -> TaskState:
        refused = _name(observed.audit, state) in observed.refused
        return replace(state, state="Pending") if state.task.key in created and not refused else state

    return replace(
        states,
        golden=after(states.golden),
        candidates=tuple(after(state) for state in states.candidates),
        summary=after(states.summary),
    )


def _name(audit: Audit, state: TaskState) -> str:
    return job_name(audit.name, state.task, recovery=state.recover)


def _suspensions(run: Run, jobs: Iterable[Job], audit: Audit) -> tuple[tuple[str, bool], ...]:
    """Jobs whose `suspend` is not as the spec has it; those in a Kueue queue are Kueue's to start and stop."""
    return tuple(
        (job.name, run.spec.suspend)
        for job in jobs
        if job.run == run.digest
        and job.owner == audit.uid
        and not (job.finished or job.deleting or job.queue)
        and job.suspended != run.spec.suspend
    )


def _foreign(run: Run, observed: Observed) -> tuple[str, ...]:
    """Jobs that bear a name of ours but belong to no audit, or to an earlier one of the same name."""
    tasks: tuple[Task, ...] = run.tasks
    names = {job_name(observed.audit.name, task, recovery=again) for task in tasks for again in (False, True)}
    return tuple(job.name for job in observed.jobs if job.owner != observed.audit.uid and job.name in names)


def _left_over(run: Run, jobs: Iterable[Job], pods: Iterable[Pod]) -> tuple[str, ...]:
    """Jobs of an ended run that would go on for nothing; one whose Pod succeeded is about to be closed by itself."""
    succeeded = {pod.job for pod in pods if pod.phase == "Succeeded"}
    return tuple(j.name for j in jobs if j.run == run.digest and not j.finished and j.uid not in succeeded)


def _created_words(state: TaskState, name: str) -> str:
    return f"Job {name} for {state.task.key}{', to read its stored report' if state.recover else ''}"


def _decision(audit: Audit, status: AuditStatus, **rest: Any) -> Decision:
    unchanged = to_wire(status) == json.loads(audit.status)
    return Decision(status=None if unchanged else status, **rest)
