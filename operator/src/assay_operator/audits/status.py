"""From what became of the tasks to the audit's status: what was observed, never what is wished for."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from assay_api.asked import MOST_TOKEN
from assay_api.audit import AuditSpec
from assay_api.baseline import AcceptedStatus, BaselineStatus, most_urgent
from assay_api.finding import Verdict, Worst
from assay_api.names import ANNOTATION_ACCEPT, Phase, Reason
from assay_api.result import shorten
from assay_api.status import (
    AuditStatus,
    CandidateStatus,
    ConditionStatus,
    RecommendationStatus,
    ReportStatus,
)
from assay_api.told import legible
from assay_operator.audits.conditions import Setting, ended, in_progress, recorded_end, stalls
from assay_operator.audits.doing import doing, progress_of, task_status, told, why_not
from assay_operator.audits.gpu_time import timed
from assay_operator.audits.observed import Observed
from assay_operator.audits.outcome import Outcome, figure, outcome
from assay_operator.audits.repairs import repair_entry
from assay_operator.audits.size import fitted
from assay_operator.audits.states import RunStates
from assay_operator.audits.tasks import TaskState
from assay_operator.objects.raw import timestamp

SEVERITY = {Verdict.FAILED: 0, Verdict.INCONCLUSIVE: 1, None: 2, Verdict.PASSED: 3}


def run_status(states: RunStates, observed: Observed, old: AuditStatus, now: datetime) -> AuditStatus:
    """The status of a run, in progress or just ended."""
    setting = Setting(observed.audit.generation, timestamp(now), old.conditions)
    spec, same = states.run.spec, old.run == states.run.digest
    end = outcome(states)
    candidates = tuple(
        timed(candidate_status(state, observed, why_not(state, states)), state, observed) for state in states.candidates
    )
    return fitted(
        AuditStatus(
            observed_generation=observed.audit.generation,
            phase=_phase(spec, states, end).value,
            verdict=end.verdict.value if end and end.verdict else None,
            conditions=_conditions(states, observed, setting, end),
            run=states.run.digest,
            rerun=observed.audit.rerun or None,
            start_time=(old.start_time if same else None) or setting.now,
            completion_time=setting.now if end else None,
            finished=f"{sum(state.over for state in states.candidates)}/{len(candidates)}",
            worst=_worst(states.candidates, (old.worst if same else None) or ""),
            baseline=most_urgent(entry.baseline.state for entry in candidates if entry.baseline),
            accepted=old.accepted if same else superseded(old.accepted),
            recommendation=_recommendation(states.conclusion) if end else None,
            report=_report(states.conclusion) if end else None,
            progress=None if end else progress_of(states, observed),
            candidates=candidates,
            tasks=tuple(task_status(s, observed) for s in states.others if s.exists or s.trouble if not s.finished),
            repairs=tuple(timed(repair_entry(s, doing(s, observed)), s, observed) for s in states.repairs if s.exists),
        )
    )


def _worst(candidates: Sequence[TaskState], said: str) -> str | None:
    """The figure of the worst candidate that has one: of its entry, or as it was said before the entry lost it."""
    worst_first = sorted(candidates, key=lambda state: SEVERITY[state.verdict])
    figures = (figure(s) or (said if said.startswith(f"{s.task.key}: ") else None) for s in worst_first)
    return next(filter(None, figures), None)


def ended_status(spec: AuditSpec, observed: Observed, old: AuditStatus, now: datetime) -> AuditStatus | None:
    """The status of a run that is on record as ended: only what hangs on `onBreach` may still change."""
    end = recorded_end(old.conditions, old.verdict)
    if end is None:
        return None
    setting = Setting(observed.audit.generation, timestamp(now), old.conditions)
    return old.model_copy(
        update={
            "observed_generation": observed.audit.generation,
            "rerun": observed.audit.rerun or None,
            "phase": Phase.STALLED.value if stalls(end, spec.on_breach) else Phase.COMPLETE.value,
            "conditions": ended(setting, end, spec.on_breach),
        }
    )


def invalid_status(sentences: Sequence[str], observed: Observed, old: AuditStatus, now: datetime) -> AuditStatus:
    """The status of an audit whose spec cannot be run at all."""
    setting = Setting(observed.audit.generation, timestamp(now), old.conditions)
    end = Outcome(Reason.INVALID_INPUT, Reason.INVALID_INPUT, "; ".join(sentences), None)
    same = old.run is None and old.phase == Phase.STALLED.value
    return AuditStatus(
        observed_generation=observed.audit.generation,
        phase=Phase.STALLED.value,
        conditions=ended(setting, end, "Fail"),
        rerun=observed.audit.rerun[:MOST_TOKEN] or None,
        accepted=superseded(old.accepted),
        start_time=old.start_time if same else setting.now,
        completion_time=old.completion_time if same else setting.now,
    )


def unwritable_status(
    refused: AuditStatus, message: str, observed: Observed, old: AuditStatus, now: datetime
) -> AuditStatus:
    """The status of an audit whose status the API server will not have: an end, with the API server's words.

    Args:
        refused: the status that could not be written.
        message: what the API server said.
        observed: the audit.
        old: the status on record.
        now: the time.
    """
    setting = Setting(observed.audit.generation, timestamp(now), old.conditions)
    words = legible(shorten(f"the status could not be written: {message}", 512))
    return AuditStatus(
        observed_generation=observed.audit.generation,
        phase=Phase.STALLED.value,
        conditions=ended(setting, Outcome(Reason.ERROR, Reason.ERROR, words, None), "Fail"),
        run=refused.run,
        rerun=refused.rerun,
        accepted=superseded(old.accepted),
        start_time=refused.start_time,
        completion_time=setting.now,
    )


def candidate_status(state: TaskState, observed: Observed, never: str | None = None) -> CandidateStatus:
    """One candidate's entry.

    Args:
        state: what became of its task.
        observed: what is there.
        never: why its task is not done or not yet, where that is known.
    """
    if isinstance(state.recorded, CandidateStatus) and state.over:
        return state.recorded
    result, retries = state.result, state.retries or None
    if result is None:
        return CandidateStatus(
            name=state.task.key, state=state.state, message=never or doing(state, observed), retries=retries
        )
    return CandidateStatus(
        name=state.task.key,
        state=state.state,
        verdict=result.verdict.value if result.verdict else Verdict.INCONCLUSIVE.value,
        message=result.message or None,
        typing=result.typing,
        achieved=result.achieved,
        emulated=result.emulated or None,
        worst=Worst.of(result.worst) if result.worst else None,
        accuracy=result.accuracy or None,
        baseline=BaselineStatus.of(result.baselines[0]) if result.baselines else None,
        compared=BaselineStatus.of(result.compared) if result.compared else None,
        latency_ms=result.latency_ms,
        report_uri=result.report.uri if result.report else None,
        report_sha256=result.report.sha256 if result.report else None,
        retries=retries,
    )


def superseded(accepted: AcceptedStatus | None) -> AcceptedStatus | None:
    """What is on record of an acceptance where another run takes over."""
    if accepted is None or not accepted.waiting:
        return accepted
    message = f"another run began before it was done: look at what comes of that, and give {ANNOTATION_ACCEPT} anew"
    return accepted.model_copy(update={"waiting": 0, "message": message})


def _conditions(
    states: RunStates, observed: Observed, setting: Setting, end: Outcome | None
) -> tuple[ConditionStatus, ...]:
    if end:
        return ended(setting, end, states.run.spec.on_breach)
    return in_progress(setting, *_standing(states, observed))


def _standing(states: RunStates, observed: Observed) -> tuple[Reason, str]:
    """Reason and sentence of a run in progress: trouble first, then what is being done."""
    if states.run.spec.suspend:
        return Reason.SUSPENDED, "Suspended by spec.suspend: no new task starts."
    troubled = [(state, state.trouble) for state in states.all if state.trouble and not state.over]
    if not any(state.state == "Running" and not state.trouble for state in states.all):
        troubled.sort(key=lambda pair: pair[1].reason == Reason.PENDING)
    else:
        # Where work goes on, what merely waits for its turn is no news.
        troubled = [pair for pair in troubled if pair[1].reason != Reason.PENDING]
    for state, trouble in troubled:
        return trouble.reason, f"{state.task.key}: {trouble.message}"
    skipped = states.standing.skipped
    at_work = next(state for state in states.all if not (state.over or state.task.key in skipped))
    if not at_work.task.candidate:
        progress = told(at_work, observed)
        # Where it waits for storage, it says so long before it gives up.
        note = f" ({progress.message})" if progress and progress.message else ""
        return _busy(at_work), f"{at_work.task.about.verb} {at_work.task.about.makes}{note}."
    counts = {name: sum(s.state == name for s in states.candidates) for name in ("Finished", "Failed", "Running")}
    said = [f"{count} {name.lower()}" for name, count in counts.items() if count]
    reason = Reason.RUNNING if any(state.state != "Pending" for state in states.all if state.exists) else Reason.PENDING
    return reason, f"{', '.join(said) or '0 finished'} of {len(states.candidates)} candidates."


def _busy(state: TaskState) -> Reason:
    return Reason.RUNNING if state.state == "Running" else Reason.PENDING


def _phase(spec: AuditSpec, states: RunStates, end: Outcome | None) -> Phase:
    if end:
        return Phase.STALLED if stalls(end, spec.on_breach) else Phase.COMPLETE
    if spec.suspend:
        return Phase.SUSPENDED
    if any(state.state in ("Running", "Retrying", "Finished", "Failed") for state in states.all):
        return Phase.RUNNING
    return Phase.PENDING


def _recommendation(summary: TaskState) -> RecommendationStatus | None:
    if summary.result is None:
        return None
    # A runner older than this operator does not say why on its own.
    because = summary.result.recommended_because or summary.result.message
    deploy = summary.result.deploy.whole() if summary.result.deploy else None
    return RecommendationStatus(candidate=summary.result.recommendation, message=because, deploy=deploy)


def _report(summary: TaskState) -> ReportStatus | None:
    stored = summary.result.report if summary.result else None
    return ReportStatus(uri=stored.uri, sha256=stored.sha256, page=stored.page) if stored else None
