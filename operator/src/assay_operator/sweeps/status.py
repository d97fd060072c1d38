"""From where the cells of a sweep stand to its status, which stays below 16 KiB however many there are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from assay_api.asked import MOST_TOKEN, answered
from assay_api.baseline import AcceptedStatus
from assay_api.finding import Verdict
from assay_api.names import Phase, Reason
from assay_api.schedule import Due
from assay_api.status import ConditionStatus
from assay_api.sweep_status import (
    RUNS,
    BaselineCounts,
    CellStatus,
    GateStatus,
    SweepCounts,
    SweepRunRecord,
    SweepStatus,
    SweepTarget,
)
from assay_operator.audits.conditions import Setting, ended, in_progress, recorded_end, stalls
from assay_operator.audits.outcome import Outcome
from assay_operator.objects.raw import timestamp
from assay_operator.sweeps.observed import Sweep
from assay_operator.sweeps.run import Now
from assay_operator.sweeps.size import fitted

NOTHING: Final = SweepCounts()


@dataclass(frozen=True)
class Told:
    """What a status says of a run beyond its name.

    Attributes:
        counts: cells by where they stand.
        worst: the worst few.
        targets: GPU products, as they were when the run began.
        models: how many there are; None: not known yet.
        gpu_seconds: of this run so far.
        estimated: GPU seconds that the run was reckoned to take; None: nothing was measured.
        baselines: answers by what they are beside their baselines.
        accepted: the acceptance asked for last; None: what is on record.
        gate: whether the upgrade may go ahead, where there is one.
    """

    counts: SweepCounts = NOTHING
    worst: tuple[CellStatus, ...] = ()
    targets: tuple[SweepTarget, ...] = ()
    models: int | None = None
    gpu_seconds: int = 0
    estimated: int | None = None
    baselines: BaselineCounts | None = None
    accepted: AcceptedStatus | None = None
    gate: GateStatus | None = None


def going_status(
    sweep: Sweep, at: Now, told: Told, old: SweepStatus, now: datetime, reason: Reason, message: str, *, begun: bool
) -> SweepStatus:
    """The status of a run that goes on."""
    phase = {Reason.SUSPENDED: Phase.SUSPENDED}.get(reason, Phase.RUNNING if begun else Phase.PENDING)
    conditions = in_progress(_setting(sweep, old, now), reason, message)
    return _status(sweep, at, told, old, now, phase, conditions)


def ended_status(
    sweep: Sweep, at: Now, told: Told, old: SweepStatus, now: datetime, end: Outcome, on_breach: str
) -> SweepStatus:
    """The status of a run that ends now; it is remembered in the history."""
    phase = Phase.STALLED if stalls(end, on_breach) else Phase.COMPLETE
    conditions = ended(_setting(sweep, old, now), end, on_breach)
    status = _status(sweep, at, told, old, now, phase, conditions)
    record = SweepRunRecord(
        name=at.run, start_time=status.start_time or timestamp(now), completion_time=timestamp(now),
        verdict=end.verdict.value if end.verdict else None,
        counts=told.counts, gpu_seconds=told.gpu_seconds,
    )  # fmt: skip
    earlier = tuple(run for run in old.history if run.name != at.run)
    update = {"verdict": record.verdict, "completion_time": timestamp(now), "history": (record, *earlier)[:RUNS]}
    return fitted(status.model_copy(update=update))


def resting_status(sweep: Sweep, at: Now, old: SweepStatus, now: datetime, on_breach: str) -> SweepStatus:
    """The status between runs, or after the only one: what hangs on the clock and on `onBreach` may still change."""
    setting, clock = _setting(sweep, old, now), _clock(at.due, old)
    end = recorded_end(old.conditions, old.verdict)
    if end is None or old.run is None:
        # Nothing has run, or not since a spec that could not be: the sweep is as it should be, and waits for its time.
        conditions = waiting(setting, at.due)
        told = {"observed_generation": sweep.generation, "phase": Phase.PENDING.value, "conditions": conditions}
        return fitted(old.model_copy(update=told | clock | _tokens(sweep, old, old.asked)))
    phase = Phase.STALLED if stalls(end, on_breach) else Phase.COMPLETE
    update = {
        "observed_generation": sweep.generation,
        "phase": phase.value,
        "conditions": ended(setting, end, on_breach),
    }
    return fitted(old.model_copy(update=update | clock | _tokens(sweep, old, old.asked)))


def with_baselines(status: SweepStatus, told: Told, now: datetime) -> SweepStatus:
    """A status between runs with what its answers are beside their baselines by now."""
    update: dict[str, object] = {"accepted": told.accepted}
    if told.baselines is not None and told.baselines != status.baselines:
        counts = status.counts.model_copy(update={"regressed": told.counts.regressed})
        update |= {"baselines": told.baselines, "counts": counts, "worst": told.worst, "worst_left_out": None}
    new = status.model_copy(update=update)
    return status if new == status else fitted(new.model_copy(update={"update_time": timestamp(now)}))


def waiting(setting: Setting, due: Due | None) -> tuple[ConditionStatus, ...]:
    """The conditions of a sweep that waits for its first run: nothing is wrong and nothing is being done."""
    at = f"at {timestamp(due.next)}" if due and due.next else "never: its schedule has no more times"
    made = in_progress(setting, Reason.SCHEDULED, f"The next run begins {at}.")
    turned = {"Ready": "True", "Reconciling": "False"}
    before = {condition.type: condition for condition in setting.before}

    def fix(condition: ConditionStatus) -> ConditionStatus:
        status = turned.get(condition.type)
        if status is None:
            return condition
        was = before.get(condition.type)
        since = was.last_transition_time if was and was.status == status else setting.now
        return condition.model_copy(update={"status": status, "last_transition_time": since})

    return tuple(fix(condition) for condition in made)


def invalid_status(sweep: Sweep, sentences: Sequence[str], old: SweepStatus, now: datetime) -> SweepStatus:
    """The status of a sweep whose spec cannot be run; what earlier runs came to stays."""
    end = Outcome(Reason.INVALID_INPUT, Reason.INVALID_INPUT, "; ".join(sentences), None)
    conditions = ended(_setting(sweep, old, now), end, "Fail")
    update = {
        "observed_generation": sweep.generation, "phase": Phase.STALLED.value, "verdict": None,
        "run": None, "conditions": conditions, "next_schedule_time": None,
        # That it cannot be run is the answer to them too.
        "rerun": sweep.rerun[:MOST_TOKEN] or old.rerun,
        "rerun_failed": sweep.rerun_failed[:MOST_TOKEN] or old.rerun_failed,
    }  # fmt: skip
    return fitted(old.model_copy(update=update))


def verdict_of(counts: SweepCounts) -> Verdict | None:
    """The worst cell's verdict; cells without an answer make it Inconclusive at best; None: no cell has any."""
    if counts.failed:
        return Verdict.FAILED
    if counts.inconclusive:
        return Verdict.INCONCLUSIVE
    if counts.errors or counts.over_budget:
        return Verdict.INCONCLUSIVE if counts.passed else None
    return Verdict.PASSED


def _status(
    sweep: Sweep, at: Now, told: Told, old: SweepStatus, now: datetime, phase: Phase,
    conditions: tuple[ConditionStatus, ...],
) -> SweepStatus:  # fmt: skip
    same, counts = old.run == at.run, told.counts
    answered = counts.passed + counts.failed + counts.inconclusive
    handled = (old.asked if same else sweep.asked(old.asked)) or None
    beside = _clock(at.due, old) | _tokens(sweep, old, handled)
    return fitted(
        SweepStatus(
            observed_generation=sweep.generation,
            phase=phase.value,
            conditions=conditions,
            run=at.run,
            asked=handled,
            start_time=(old.start_time if same else None) or timestamp(now),
            models=told.models,
            targets=told.targets,
            counts=counts,
            gate=told.gate,
            baselines=told.baselines,
            accepted=told.accepted or old.accepted,
            finished=f"{answered}/{counts.cells}" if told.models is not None else None,
            gpu_seconds=told.gpu_seconds,
            estimated_gpu_seconds=told.estimated,
            worst=told.worst,
            history=old.history,
            update_time=timestamp(now),
        ).model_copy(update=beside)
    )


def _tokens(sweep: Sweep, old: SweepStatus, handled: str | None) -> dict[str, object]:
    """Values of the annotations that the run on record answers; of one that asks for another run, those before."""
    rerun, failed = answered(sweep.rerun, sweep.rerun_failed, handled)
    return {
        "rerun": (sweep.rerun if rerun else "") or old.rerun,
        "rerun_failed": (sweep.rerun_failed if failed else "") or old.rerun_failed,
    }


def _clock(due: Due | None, old: SweepStatus) -> dict[str, object]:
    """What the status says of the schedule."""
    if due is None:
        return {"last_schedule_time": None, "next_schedule_time": None, "missed_runs": None}
    return {
        "last_schedule_time": timestamp(due.dealt) if due.dealt else old.last_schedule_time,
        "next_schedule_time": timestamp(due.next) if due.next else None,
        "missed_runs": (old.missed_runs or 0) + due.dropped or None,
    }


def _setting(sweep: Sweep, old: SweepStatus, now: datetime) -> Setting:
    return Setting(sweep.generation, timestamp(now), old.conditions)
