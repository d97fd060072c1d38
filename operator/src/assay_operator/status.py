"""From what became of the tasks to the audit's status: what was observed, never what is wished for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from assay_api.audit import AuditSpec
from assay_api.names import Phase, Reason
from assay_api.report import Verdict
from assay_api.result import Progress, legible, shorten
from assay_api.status import (
    AuditStatus,
    CandidateStatus,
    ConditionStatus,
    RecommendationStatus,
    ReportStatus,
    Worst,
)
from assay_operator.conditions import Setting, ended, in_progress, recorded_end, stalls
from assay_operator.observed import Observed
from assay_operator.outcome import Outcome, figure, outcome, verdict_of
from assay_operator.size import fitted
from assay_operator.tasks import TaskState

SEVERITY = {Verdict.FAILED: 0, Verdict.INCONCLUSIVE: 1, None: 2, Verdict.PASSED: 3}


@dataclass(frozen=True)
class RunStates:
    """The tasks of one run and what became of each."""

    run: str
    golden: TaskState
    candidates: tuple[TaskState, ...]
    summary: TaskState

    @property
    def all(self) -> tuple[TaskState, ...]:
        """Every task, in the order of work."""
        return (self.golden, *self.candidates, self.summary)


def timestamp(now: datetime) -> str:
    """The time as Kubernetes writes it."""
    return now.strftime("%Y-%m-%dT%H:%M:%SZ")


def run_status(spec: AuditSpec, states: RunStates, observed: Observed, old: AuditStatus, now: datetime) -> AuditStatus:
    """The status of a run, in progress or just ended."""
    setting = Setting(observed.audit.generation, timestamp(now), old.conditions)
    same = old.run == states.run
    end = outcome(states.golden, states.candidates, states.summary)
    candidates = tuple(candidate_status(state, observed, end is not None) for state in states.candidates)
    worst_first = sorted(states.candidates, key=lambda state: SEVERITY[verdict_of(state)])
    figures = [text for state in worst_first if (text := figure(state))]
    return fitted(
        AuditStatus(
            observed_generation=observed.audit.generation,
            phase=_phase(spec, states, end).value,
            verdict=end.verdict.value if end and end.verdict else None,
            conditions=_conditions(spec, states, setting, end),
            run=states.run,
            start_time=(old.start_time if same else None) or setting.now,
            completion_time=setting.now if end else None,
            finished=f"{sum(state.over for state in states.candidates)}/{len(candidates)}",
            worst=figures[0] if figures else None,
            recommendation=_recommendation(states.summary) if end else None,
            report=_report(states.summary) if end else None,
            progress=None if end else _progress(states, observed),
            candidates=candidates,
        )
    )


def ended_status(spec: AuditSpec, observed: Observed, old: AuditStatus, now: datetime) -> AuditStatus | None:
    """The status of a run that is on record as ended: only what hangs on `onBreach` may still change."""
    end = recorded_end(old.conditions, old.verdict)
    if end is None:
        return None
    setting = Setting(observed.audit.generation, timestamp(now), old.conditions)
    return old.model_copy(
        update={
            "observed_generation": observed.audit.generation,
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
        start_time=refused.start_time,
        completion_time=setting.now,
    )


def candidate_status(state: TaskState, observed: Observed, run_ended: bool) -> CandidateStatus:
    """One candidate's entry."""
    if state.recorded and state.over:
        return state.recorded
    result, retries = state.result, state.retries or None
    if result is None:
        held = run_ended and state.state == "Waiting"
        words = "not run, for the golden outputs failed" if held else _message(state, observed)
        return CandidateStatus(name=state.task.key, state=state.state, message=words, retries=retries)
    found = result.worst
    return CandidateStatus(
        name=state.task.key,
        state=state.state,
        verdict=result.verdict.value if result.verdict else Verdict.INCONCLUSIVE.value,
        message=result.message or None,
        typing=result.typing,
        achieved=result.achieved,
        emulated=result.emulated or None,
        worst=Worst.model_validate(found.model_dump(exclude={"candidate"}, exclude_none=True)) if found else None,
        accuracy=result.accuracy or None,
        latency_ms=result.latency_ms,
        report_uri=result.report.uri if result.report else None,
        report_sha256=result.report.sha256 if result.report else None,
        retries=retries,
    )


def _conditions(
    spec: AuditSpec, states: RunStates, setting: Setting, end: Outcome | None
) -> tuple[ConditionStatus, ...]:
    if end:
        return ended(setting, end, spec.on_breach)
    return in_progress(setting, *_standing(spec, states))


def _standing(spec: AuditSpec, states: RunStates) -> tuple[Reason, str]:
    """Reason and sentence of a run in progress: trouble first, then what is being done."""
    if spec.suspend:
        return Reason.SUSPENDED, "Suspended by spec.suspend: no new task starts."
    for state in states.all:
        if state.trouble and state.state in ("Waiting", "Pending", "Retrying"):
            return state.trouble.reason, f"{state.task.key}: {state.trouble.message}"
    if not states.golden.over:
        return _busy(states.golden), "Making the golden outputs."
    if all(state.over for state in states.candidates):
        return _busy(states.summary), "Writing the audit's report."
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


def _message(state: TaskState, observed: Observed) -> str | None:
    if state.trouble:
        return str(state.trouble) if state.trouble.reason != Reason.PENDING else state.trouble.message
    if progress := _told(state, observed):
        return _doing(progress)
    return None


def _progress(states: RunStates, observed: Observed) -> str | None:
    doing = [f"{state.task.key}: {_doing(progress)}" for state in states.all if (progress := _told(state, observed))]
    return shorten("; ".join(doing), 512) or None


def _told(state: TaskState, observed: Observed) -> Progress | None:
    return observed.progress.get(state.job.uid) if state.state == "Running" and state.job else None


def _doing(progress: Progress) -> str:
    total = f"/{progress.total}" if progress.total is not None else ""
    counted = f" {progress.done}{total} {progress.unit}".rstrip() if progress.done or progress.total else ""
    said = f": {progress.message}" if progress.message else ""
    return shorten(f"{progress.stage}{counted}{said}", 120)


def _recommendation(summary: TaskState) -> RecommendationStatus | None:
    if summary.result is None:
        return None
    # A runner older than this operator does not say why on its own.
    because = summary.result.recommended_because or summary.result.message
    return RecommendationStatus(candidate=summary.result.recommendation, message=because)


def _report(summary: TaskState) -> ReportStatus | None:
    stored = summary.result.report if summary.result else None
    return ReportStatus(uri=stored.uri, sha256=stored.sha256, page=stored.page) if stored else None
