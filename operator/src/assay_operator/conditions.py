"""The five conditions of an audit.

`Ready`, `Reconciling` and `Stalled` mean what kstatus reads in them: Ready=False is in progress, only Stalled=True has
failed. `Complete` and `Passed` are for people and pipelines that wait. A time of transition moves only when a status
does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from assay_api.names import Condition, Reason
from assay_api.report import Verdict
from assay_api.status import ConditionStatus
from assay_operator.outcome import Outcome

Word = Literal["True", "False", "Unknown"]
MESSAGE = 1024


@dataclass(frozen=True)
class Setting:
    """What the conditions are written for: generation, time, and those that stood before."""

    generation: int
    now: str
    before: tuple[ConditionStatus, ...] = ()


def find(conditions: Sequence[ConditionStatus], kind: Condition) -> ConditionStatus | None:
    """The condition of one type."""
    return next((condition for condition in conditions if condition.type == kind), None)


def in_progress(setting: Setting, reason: Reason, message: str) -> tuple[ConditionStatus, ...]:
    """The conditions of a run that goes on."""
    return (
        _condition(setting, Condition.READY, "False", reason, message),
        _condition(setting, Condition.RECONCILING, "True", reason, message),
        _condition(setting, Condition.STALLED, "False", reason, ""),
        _condition(setting, Condition.COMPLETE, "False", reason, "The run goes on."),
        _condition(setting, Condition.PASSED, "Unknown", reason, "Not judged yet."),
    )


def stalls(end: Outcome, on_breach: str) -> bool:
    """Whether the end of a run is a failure to whoever waits for the resource."""
    if end.reason in (Reason.BREACHED, Reason.INCONCLUSIVE):
        return on_breach == "Fail"
    return end.reason != Reason.PASSED


def ended(setting: Setting, end: Outcome, on_breach: str) -> tuple[ConditionStatus, ...]:
    """The conditions of a run that ended."""
    stalled = stalls(end, on_breach)
    passed: Word = {Verdict.PASSED: "True", Verdict.FAILED: "False"}.get(end.verdict, "Unknown")  # type: ignore
    if end.reason in (Reason.ERROR, Reason.INVALID_INPUT) and passed == "True":
        passed = "Unknown"
    return (
        _condition(setting, Condition.READY, "False" if stalled else "True", end.detail, end.message),
        _condition(setting, Condition.RECONCILING, "False", end.detail, ""),
        _condition(
            setting, Condition.STALLED, "True" if stalled else "False", end.detail, end.message if stalled else ""
        ),
        _condition(setting, Condition.COMPLETE, "True", end.reason, end.message),
        _condition(setting, Condition.PASSED, passed, end.reason, end.message),
    )


def recorded_end(conditions: Sequence[ConditionStatus], verdict: str | None) -> Outcome | None:
    """The end that the conditions have on record, if they have one that this version knows the reasons of."""
    complete, ready = find(conditions, Condition.COMPLETE), find(conditions, Condition.READY)
    if not (complete and ready and complete.status == "True"):
        return None
    if not {complete.reason, ready.reason} <= set(Reason):
        # Of another version, or nobody's: the run is looked at anew, which costs little, for its reports are stored.
        return None
    return Outcome(
        Reason(complete.reason), Reason(ready.reason), complete.message, Verdict(verdict) if verdict else None
    )


def _condition(setting: Setting, kind: Condition, status: Word, reason: Reason, message: str) -> ConditionStatus:
    before = find(setting.before, kind)
    since = before.last_transition_time if before and before.status == status else setting.now
    text = message if len(message) <= MESSAGE else f"{message[: MESSAGE - 1]}…"
    return ConditionStatus(
        type=kind,
        status=status,
        reason=reason,
        message=text,
        last_transition_time=since,
        observed_generation=setting.generation,
    )
