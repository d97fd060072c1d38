"""Answers that are accepted as baselines: asked for by an annotation, done by Jobs with the namespace's credentials.

What is asked of an audit counts once its run has ended, and is dealt with once. A run that takes the place of the one
whose answers were to be accepted ends that: nobody has seen what comes of it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from assay_api.audit import AuditSpec
from assay_api.baseline import (
    BATCH,
    AcceptedStatus,
    AcceptOrder,
    Ask,
    BaselineStatus,
    BaselineTold,
    ask_of,
    asked_digest,
    most_urgent,
)
from assay_api.plan import Task
from assay_api.result import shorten
from assay_api.status import AuditStatus, CandidateStatus, ReportStatus
from assay_api.task_kinds import BASELINE
from assay_operator.audits.jobs import job_manifest, job_name
from assay_operator.audits.observed import Audit, Observed
from assay_operator.audits.rules import task_state
from assay_operator.audits.run import Refused, Run, run_of
from assay_operator.audits.tasks import TaskState
from assay_operator.objects.events import Event, accepted_events
from assay_operator.objects.raw import Manifest, timestamp
from assay_operator.settings import Settings

WORDS = 1000
TURN_SECONDS = 5.0
NOBODY = "whoever annotated it"


@dataclass(frozen=True)
class Acceptance:
    """What an acceptance comes to now.

    Attributes:
        status: the audit's status with it.
        create: its Jobs that are to be made.
        jobs: names of all of its Jobs.
        wait: seconds after which to look again.
        waits: how many of its Jobs wait for their turn.
        events: that it was done, or was not.
    """

    status: AuditStatus
    create: tuple[Manifest, ...] = ()
    jobs: frozenset[str] = field(default=frozenset())
    wait: float | None = None
    waits: int = 0
    events: tuple[Event, ...] = ()


def pending(audit: Audit, status: AuditStatus) -> bool:
    """Whether something is asked that was not dealt with."""
    known = status.accepted
    return bool(audit.accept) and (known is None or known.asked != asked_digest(audit.accept) or known.waiting > 0)


def acceptance(
    spec: AuditSpec, ended: AuditStatus, observed: Observed, now: datetime, settings: Settings
) -> Acceptance:
    """What comes of the annotation of an audit whose run has ended; its status alone where nothing is asked."""
    audit = observed.audit
    if not pending(audit, ended):
        return Acceptance(ended)
    ask, run = ask_of(audit.accept, of_sweep=False), run_of(audit)
    if isinstance(ask, str):
        return _over(ended, audit, now, None, message=ask)
    if isinstance(run, Refused):
        return _over(ended, audit, now, ask, message=run.sentences[0])
    keys = _chosen(ask, [task.key for task in run.tasks if task.candidate], ended)
    if not keys or ended.report is None or ask.run not in (None, ended.run):
        return _over(ended, audit, now, ask, message=_why_not(ask, ended))
    parts = [keys[at : at + BATCH] for at in range(0, len(keys), BATCH)]
    tasks = [_task(audit, spec, run, ended.report, ask, number, part) for number, part in enumerate(parts)]
    states = [task_state(task, observed, None, now) for task in tasks]
    if all(state.over for state in states):
        return _done(ended, audit, now, ask, states)
    return _going(ended, observed, now, ask, states, settings, len(keys))


def _chosen(ask: Ask, keys: list[str], ended: AuditStatus) -> tuple[str, ...]:
    told = {entry.name: entry.baseline for entry in ended.candidates}
    causes = {key: found.causes for key, found in told.items() if found}
    # What a sweep names it has chosen itself, by its own words for causes.
    plain = ask.model_copy(update={"cause": None}) if ask.sweep else ask
    return tuple(key for key in keys if plain.wants(key, causes.get(key, ())))


def _why_not(ask: Ask, ended: AuditStatus) -> str:
    if ask.run not in (None, ended.run):
        return f"it was asked of run {ask.run}, and there is run {ended.run or '-'} now: look at that, and ask anew"
    if ended.report is None:
        return "the audit has no report: nothing was answered that could be accepted"
    names = ", ".join(entry.name for entry in ended.candidates[:20])
    told = f" with the cause {ask.cause!r}" if ask.cause else ""
    wanted = ask.candidate or ", ".join(ask.candidates) or "any"
    return f"no candidate {wanted}{told}: there are {names or 'none'}"


def _task(
    audit: Audit, spec: AuditSpec, run: Run, report: ReportStatus, ask: Ask, number: int, keys: tuple[str, ...]
) -> Task:
    first = run.tasks[0]
    order = AcceptOrder(
        report=report.uri, sha256=report.sha256, candidates=keys, who=ask.who or NOBODY, why=ask.why
    )  # fmt: skip
    return Task(
        kind=BASELINE, key=f"{BASELINE}-{asked_digest(audit.accept)}{f'-{number + 1}' if number else ''}",
        audit=first.audit, run=first.run, output=first.output, cache=first.cache, spec=spec, accept=order,
    )  # fmt: skip


def _going(
    ended: AuditStatus, observed: Observed, now: datetime, ask: Ask, states: list[TaskState], settings: Settings,
    answers: int,
) -> Acceptance:  # fmt: skip
    audit, turn = observed.audit, observed.turn
    jobs = frozenset(job_name(audit.name, s.task, recovery=again) for s in states for again in (False, True))
    free = len(states) if turn is None else turn.free
    wanted = [] if _held(states) else [s for s in states if s.state == "Waiting" or s.recover]
    create = tuple(job_manifest(audit, s.task, settings, recovery=s.recover, here=s.here) for s in wanted[:free])
    trouble = next((f"{s.task.key}: {s.trouble.message}" for s in states if s.trouble and not s.over), None)
    if turn is not None and len(wanted) > free:
        trouble = f"waits for its turn: {turn.why} (a limit of the operator's)"
    elif _held(states):
        trouble = "suspended by spec.suspend: nothing starts"
    known = ended.accepted
    same = known is not None and known.asked == asked_digest(audit.accept)
    at = known.time if known and same else timestamp(now)
    accepted = _accepted(audit, at, ask, waiting=answers, message=trouble)
    checks = [state.check_after for state in states if state.check_after is not None]
    # Nobody calls an audit that is done when places become free.
    checks += [TURN_SECONDS] if len(create) < len(wanted) else []
    status = ended.model_copy(update={"accepted": accepted})
    return Acceptance(status, create, jobs, min(checks, default=None), len(wanted) - len(create))


def _held(states: list[TaskState]) -> bool:
    """Whether the audit is suspended."""
    return any(state.task.spec.suspend for state in states)


def _done(ended: AuditStatus, audit: Audit, now: datetime, ask: Ask, states: list[TaskState]) -> Acceptance:
    told = {each.candidate: each for state in states if state.result for each in state.result.baselines}
    failed = [f"{s.task.key}: {s.trouble.message}" for s in states if s.state == "Failed" and s.trouble]
    refused = [f"{key}: {each.why}" for key, each in told.items() if each.refused]
    accepted = len(told) - len(refused)
    lost = sum(len(s.task.accept.candidates) for s in states if s.state == "Failed" and s.task.accept)
    entries = tuple(_entry(entry, told.get(entry.name)) for entry in ended.candidates)
    status = ended.model_copy(
        update={"candidates": entries, "baseline": most_urgent(e.baseline.state for e in entries if e.baseline)}
    )
    message = shorten("; ".join([*failed, *refused]), WORDS)
    return _over(status, audit, now, ask, accepted=accepted, refused=len(refused) + lost, message=message)


def _entry(entry: CandidateStatus, told: BaselineTold | None) -> CandidateStatus:
    """A candidate's entry; one that was refused is what it was."""
    if told is None or told.refused:
        return entry
    return entry.model_copy(update={"baseline": BaselineStatus.of(told)})


def _over(
    status: AuditStatus, audit: Audit, now: datetime, ask: Ask | None, *, accepted: int = 0, refused: int = 0,
    message: str = "",
) -> Acceptance:  # fmt: skip
    known = _accepted(audit, timestamp(now), ask, message=message or None)
    known = known.model_copy(update={"accepted": accepted, "refused": refused})
    return Acceptance(status.model_copy(update={"accepted": known}), events=accepted_events(known))


def _accepted(
    audit: Audit, at: str, ask: Ask | None, *, waiting: int = 0, message: str | None = None
) -> AcceptedStatus:
    return AcceptedStatus(
        asked=asked_digest(audit.accept),
        time=at,
        who=(ask.who or NOBODY) if ask else None,
        why=ask.why if ask else None,
        waiting=waiting,
        message=shorten(message, WORDS) if message else None,
    )
