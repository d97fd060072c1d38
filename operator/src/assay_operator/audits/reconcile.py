"""The one decision: from what is observed of an audit to what is to be done, without doing it.

Which tasks may start is the graph's to say (`assay_api.graph`), how many at once the spec's. Everything follows from
what is there now, never from what happened: run it twice and the second time there is nothing left to do.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from itertools import chain
from typing import Any

from assay_api.audit import AuditSpec
from assay_api.model import to_wire
from assay_api.status import AuditStatus, Entry
from assay_operator.audits.acceptance import acceptance
from assay_operator.audits.calm import calm_seconds
from assay_operator.audits.events import end_events, run_events, superseded_events
from assay_operator.audits.images import images_run
from assay_operator.audits.jobs import job_manifest, job_name
from assay_operator.audits.observed import Audit, Observed
from assay_operator.audits.outcome import held_against_candidates, report_digests
from assay_operator.audits.record import read_status
from assay_operator.audits.retirement import SOON, retirement
from assay_operator.audits.run import Refused, Run, meaning_of, run_of
from assay_operator.audits.states import RunStates, run_states
from assay_operator.audits.status import ended_status, invalid_status, run_status
from assay_operator.audits.tasks import TaskState
from assay_operator.audits.turn import in_turn
from assay_operator.objects.children import Job, Pod
from assay_operator.objects.decision import Decision
from assay_operator.objects.raw import Manifest, unpacked
from assay_operator.objects.resources import JOBS, Ref
from assay_operator.settings import Settings

FOREIGN_SECONDS = 2.0


def reconcile(observed: Observed, now: datetime, settings: Settings) -> Decision[AuditStatus]:
    """Decide what is to be done about an audit."""
    audit = observed.audit
    if audit.deleting or audit.foreign:
        return Decision()
    old, mine = read_status(audit), [job for job in observed.jobs if job.owner == audit.uid and not job.deleting]
    meaning = meaning_of(audit)
    if meaning and old.run == meaning[1] and (ended := ended_status(meaning[0], observed, old, now)):
        return _ended_decision(meaning[0], ended, old, mine, observed, now, settings)
    run = run_of(audit)
    superseded = tuple(j.name for j in mine if isinstance(run, Refused) or j.run != run.digest)
    if isinstance(run, Refused):
        new = invalid_status(run.sentences, observed, old, now)
        given_up = superseded_events(superseded, "The spec as it is now cannot be run")
        events = (*given_up, *end_events(old, new))
        return _retiring(_decision(audit, new, delete=_jobs(superseded), events=events), None, new, observed, now)
    return _run_decision(run, observed, old, superseded, now, settings)


def _ended_decision(
    spec: AuditSpec, ended: AuditStatus, old: AuditStatus, mine: list[Job], observed: Observed, now: datetime,
    settings: Settings,
) -> Decision[AuditStatus]:  # fmt: skip
    """What is left once a run has ended: what is accepted of it, and its own end."""
    told = acceptance(spec, ended, observed, now, settings)
    left = [job for job in mine if job.name not in told.jobs]
    run = ended.run or ""
    delete = _jobs((job.name for job in left if job.run != run), _left_over(run, left, observed.pods))
    decision = _decision(
        observed.audit, told.status, create=told.create, delete=delete, waits=told.waits, priority=spec.priority,
        events=(*end_events(old, ended), *told.events), requeue_after=told.wait,
    )  # fmt: skip
    return decision if told.jobs else _retiring(decision, spec, told.status, observed, now)


def _run_decision(
    run: Run, observed: Observed, old: AuditStatus, superseded: tuple[str, ...], now: datetime, settings: Settings
) -> Decision[AuditStatus]:
    audit = observed.audit
    entries: tuple[Entry, ...] = (*old.candidates, *old.repairs) if old.run == run.digest else ()
    recorded = {entry.name: entry for entry in entries}
    foreign = _foreign(run, observed)
    states = held_against_candidates(run_states(run, observed, recorded, now))
    wanted = [] if run.spec.suspend else [s for s in _next(states) if _name(audit, s) not in foreign]
    reports = report_digests(states)
    started = in_turn(states, wanted, _suspensions(run, observed.jobs, audit), observed.turn)
    wanted = started.tasks
    # Only a task that concludes is told of them.
    images = images_run(observed, run.tasks) if any(state.task.about.concludes for state in wanted) else {}
    manifests = tuple(
        job_manifest(audit, s.task, settings, recovery=s.recover, here=s.here, reports=reports, images=images)
        for s in wanted
    )
    states = _with_created(started.states, {state.task.key for state in wanted}, observed)
    new = run_status(states, observed, old, now)
    created = [_created_words(state, m["metadata"]["name"]) for state, m in zip(wanted, manifests, strict=True)]
    events = run_events(states, old, new, created, superseded)
    waits = [state.check_after for state in states.all if state.check_after is not None and not run.spec.suspend]
    retires = retirement(run.spec, new, observed, now)
    waits += [each for each in (retires.wait, SOON if retires.why else None) if each is not None]
    if calm := calm_seconds(states, old, new, now):
        new, waits = old, [*waits, calm]
    return _decision(
        audit,
        new,
        announce=audit.complete,
        create=manifests,
        delete=_jobs(superseded, foreign, (state.job.name for state in states.all if state.stop and state.job)),
        patch=started.patches,
        events=events,
        waits=started.waits,
        priority=run.spec.priority,
        requeue_after=min([*waits, *([FOREIGN_SECONDS] if foreign else [])], default=None),
    )


def _next(states: RunStates) -> list[TaskState]:
    """The tasks that get a Job now, in order, as many as maxParallel leaves room for."""
    busy = sum(state.exists and not (state.over or state.recover) for state in states.all)
    keys = {task.key for task in states.standing.ready}
    wanted = [state for state in states.all if state.recover]
    wanted += [state for state in states.all if state.task.key in keys]
    return wanted[: max(states.run.spec.max_parallel - busy, 0)]


def _with_created(states: RunStates, created: set[str], observed: Observed) -> RunStates:
    """The states as they are once the Jobs exist; a Job that the API server refused before still waits."""
    begun = [state for state in states.all if state.task.key in created]
    there = [state for state in begun if _name(observed.audit, state) not in observed.refused]
    return states.replaced(*(replace(state, state="Pending") for state in there))


def _name(audit: Audit, state: TaskState) -> str:
    return job_name(audit.name, state.task, recovery=state.recover)


def _jobs(*names: Iterable[str]) -> tuple[Ref, ...]:
    return tuple(Ref(JOBS, name) for name in dict.fromkeys(chain(*names)))


def _suspensions(run: Run, jobs: Iterable[Job], audit: Audit) -> tuple[tuple[Ref, Manifest], ...]:
    """Jobs whose `suspend` is not as the spec has it; those in a Kueue queue are Kueue's to start and stop."""
    return tuple(
        (Ref(JOBS, job.name), {"spec": {"suspend": run.spec.suspend}})
        for job in jobs
        if job.run == run.digest
        and job.owner == audit.uid
        and not (job.finished or job.deleting or job.queue)
        and job.suspended != run.spec.suspend
    )


def _foreign(run: Run, observed: Observed) -> tuple[str, ...]:
    """Jobs that bear a name of ours but belong to no audit, or to an earlier one of the same name."""
    names = {job_name(observed.audit.name, task, recovery=again) for task in run.tasks for again in (False, True)}
    return tuple(job.name for job in observed.jobs if job.owner != observed.audit.uid and job.name in names)


def _left_over(run: str, jobs: Iterable[Job], pods: Iterable[Pod]) -> tuple[str, ...]:
    """Jobs of an ended run that would go on for nothing; one whose Pod succeeded is about to be closed by itself."""
    succeeded = {pod.job for pod in pods if pod.phase == "Succeeded"}
    return tuple(j.name for j in jobs if j.run == run and not j.finished and j.uid not in succeeded)


def _created_words(state: TaskState, name: str) -> str:
    return f"Job {name} for {state.task.key}{', to read its stored report' if state.recover else ''}"


def _retiring(
    decision: Decision[AuditStatus], spec: AuditSpec | None, status: AuditStatus, observed: Observed, now: datetime
) -> Decision[AuditStatus]:
    """The decision about an audit that is done, with its own end; nothing of it is left to be told by then."""
    retires = retirement(spec, status, observed, now)
    if decision.status is not None or decision.delete:
        return replace(decision, requeue_after=SOON if retires.why else retires.wait)
    return replace(decision, retire=retires.why, requeue_after=retires.wait, events=(*decision.events, *retires.events))


def _decision(audit: Audit, status: AuditStatus, **rest: Any) -> Decision[AuditStatus]:
    same, edited = to_wire(status) == json.loads(unpacked(audit.status)), audit.record is not None
    # What another hand has added would stay: the operator applies its own fields, and takes nobody's away. What another
    # hand wrote just as it should be is written too, which changes nothing: an owner goes by our word alone.
    return Decision(status=None if same and not edited else status, replace=edited and not same, **rest)
