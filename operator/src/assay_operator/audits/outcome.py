"""How a run ends: one reason, by the precedence InvalidInput > Error > Breached > Inconclusive > Passed.

A task that failed leaves something unmeasured, so it hides no breach but never lets the audit pass either: the verdict
stays the worst candidate's, and what could not be measured counts as inconclusive.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from assay_api.names import Reason
from assay_api.report import Verdict, worst
from assay_api.result import WorstFigure, shorten
from assay_api.status import Worst
from assay_operator.audits.tasks import TaskState
from assay_operator.audits.troubles import Trouble

REASONS = {
    Verdict.FAILED: Reason.BREACHED,
    Verdict.INCONCLUSIVE: Reason.INCONCLUSIVE,
    Verdict.PASSED: Reason.PASSED,
}


@dataclass(frozen=True)
class Outcome:
    """The end of a run.

    Attributes:
        reason: reason of Complete.
        detail: reason of Ready and Stalled: the same, or what exactly went wrong.
        message: one sentence for people.
        verdict: the worst candidate's; None where nothing was measured.
    """

    reason: Reason
    detail: Reason
    message: str
    verdict: Verdict | None


def outcome(golden: TaskState, candidates: Sequence[TaskState], summary: TaskState) -> Outcome | None:
    """How the run ended, or None while it goes on."""
    if golden.state == "Failed":
        return _failed([golden], None)
    if not (summary.over and all(state.over for state in candidates)):
        return None
    verdicts = [verdict_of(state) for state in candidates]
    known = [verdict for verdict in verdicts if verdict]
    verdict = worst(v or Verdict.INCONCLUSIVE for v in verdicts) if known else None
    failed = [state for state in (*candidates, summary) if state.state == "Failed"]
    if failed:
        return _failed(failed, verdict)
    judged = verdict or Verdict.INCONCLUSIVE
    return Outcome(REASONS[judged], REASONS[judged], _sentence(judged, candidates, summary), judged)


def verdict_of(state: TaskState) -> Verdict | None:
    """The candidate's verdict, where there is one."""
    if state.recorded:
        return Verdict(state.recorded.verdict) if state.recorded.verdict else None
    return state.result.verdict if state.result else None


def worst_of(state: TaskState) -> Worst | WorstFigure | None:
    """The candidate's worst finding, where there is one."""
    if state.recorded:
        return state.recorded.worst
    return state.result.worst if state.result else None


def _message_of(state: TaskState) -> str | None:
    if state.recorded:
        return state.recorded.message
    return state.result.message if state.result else None


def figure(state: TaskState) -> str | None:
    """The candidate's worst figure in a few words."""
    found = worst_of(state)
    if found is None:
        return None
    value = f" {found.metric or ''}={found.value}" if found.value else ""
    limit = f" (limit {found.limit})" if found.value and found.limit else ""
    tensor = f" at {found.tensor}" if found.tensor else ""
    return shorten(f"{state.task.key}: {found.check}{value}{limit}{tensor}", 512)


def _failed(failed: Sequence[TaskState], verdict: Verdict | None) -> Outcome:
    troubles = [(state, state.trouble or Trouble(Reason.ERROR, "failed")) for state in failed]
    troubles.sort(key=lambda pair: pair[1].reason != Reason.INVALID_INPUT)
    state, trouble = troubles[0]
    more = f" ({len(failed) - 1} more failed)" if len(failed) > 1 else ""
    reason = Reason.INVALID_INPUT if trouble.reason == Reason.INVALID_INPUT else Reason.ERROR
    return Outcome(reason, trouble.reason, f"{state.task.key}: {trouble.message}{more}", verdict)


def _sentence(verdict: Verdict, candidates: Sequence[TaskState], summary: TaskState) -> str:
    if verdict is Verdict.PASSED:
        count = f"All {len(candidates)} candidates" if len(candidates) > 1 else f"Candidate {candidates[0].task.key}"
        ship = summary.result.recommendation if summary.result else None
        return f"{count} passed" + (f"; ship {ship}." if ship else ".")
    bad = [state for state in candidates if verdict_of(state) is verdict]
    found = worst_of(bad[0])
    word = "breached" if verdict is Verdict.FAILED else "could not be judged"
    said = found.message if found else _message_of(bad[0])
    why = f": {said}" if said else ""
    return f"{len(bad)} of {len(candidates)} candidates {word}; {bad[0].task.key}{why}"
