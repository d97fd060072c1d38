"""How a run ends: one reason, by the precedence InvalidInput > Error > Breached > Inconclusive > Passed.

A task that failed leaves something unmeasured, so it hides no breach but never lets the audit pass either: the verdict
stays the worst candidate's, and what could not be measured counts as inconclusive. Nor does an audit pass whose summary
failed, or says otherwise than its candidates did.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from assay_api.names import ANNOTATION_RERUN, Reason
from assay_api.report import Verdict, worst
from assay_api.result import WorstFigure, shorten
from assay_api.status import Worst
from assay_operator.tasks import TaskState
from assay_operator.troubles import Trouble

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
    verdict = _reckoned(candidates)
    if verdict and summary.state == "Failed":
        verdict = worst((verdict, Verdict.INCONCLUSIVE))
    failed = [state for state in (*candidates, summary) if state.state == "Failed"]
    if failed:
        return _failed(failed, verdict)
    judged = verdict or Verdict.INCONCLUSIVE
    return Outcome(REASONS[judged], REASONS[judged], _sentence(judged, candidates, summary), judged)


def held_against(candidates: Sequence[TaskState], summary: TaskState) -> TaskState:
    """The summary, failed where its verdict is not the one that the candidates' own results make.

    Both come from the same reports: where they differ, an answer was forged or a report was changed. A candidate that
    failed may have stored a report all the same, so then nothing is held against anything.
    """
    if summary.result is None or not all(state.state == "Finished" for state in candidates):
        return summary
    told, reckoned = summary.result.verdict, _reckoned(candidates) or Verdict.INCONCLUSIVE
    if told is reckoned:
        return summary
    report = f"the report {summary.result.report.uri}" if summary.result.report else "the summary"
    why = f" ({summary.result.message})" if summary.result.message else ""
    sentence = (
        f"{report} says {told.value if told else 'nothing'}{why}, the candidates' own results say {reckoned.value}: "
        f"one of them was changed, so neither is believed; annotate the audit with a new {ANNOTATION_RERUN}"
    )
    return replace(summary, state="Failed", result=None, trouble=Trouble(Reason.ERROR, sentence))


def _reckoned(candidates: Sequence[TaskState]) -> Verdict | None:
    """The worst candidate's verdict; one without counts as inconclusive, and all of them without as none."""
    verdicts = [verdict_of(state) for state in candidates]
    return worst(verdict or Verdict.INCONCLUSIVE for verdict in verdicts) if any(verdicts) else None


def verdict_of(state: TaskState) -> Verdict | None:
    """The candidate's verdict, where there is one."""
    if state.recorded:
        return Verdict(state.recorded.verdict) if state.recorded.verdict else None
    return state.result.verdict if state.result else None


def report_digests(candidates: Sequence[TaskState]) -> dict[str, str]:
    """SHA-256 of each candidate's report by the candidate's key, as the candidate told it; those that are known."""
    digests: dict[str, str] = {}
    for state in candidates:
        told = state.result.report.sha256 if state.result and state.result.report else None
        if digest := (state.recorded.report_sha256 if state.recorded else None) or told:
            digests[state.task.key] = digest
    return digests


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
