"""How a run ends: one reason, by the precedence InvalidInput > Error > Breached > Inconclusive > Passed.

A task that failed leaves something unmeasured, so it hides no breach but never lets the audit pass either: the verdict
stays the worst candidate's, and what could not be measured counts as inconclusive. Nor does an audit pass whose summary
failed, or says otherwise than its candidates did.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from assay_api.finding import Verdict, Worst, worst
from assay_api.names import ANNOTATION_RERUN, Reason
from assay_api.result import shorten
from assay_api.status import CandidateStatus
from assay_operator.audits.states import RunStates
from assay_operator.audits.tasks import TaskState
from assay_operator.audits.troubles import Trouble

REASONS = {
    Verdict.FAILED: Reason.BREACHED,
    Verdict.INCONCLUSIVE: Reason.INCONCLUSIVE,
    Verdict.PASSED: Reason.PASSED,
}


WORDS = {Verdict.PASSED: "passed, closest is ", Verdict.INCONCLUSIVE: "not judged, "}
"""What is said before a figure that is no breach."""


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


def outcome(states: RunStates) -> Outcome | None:
    """How the run ended, or None while it goes on."""
    if not states.standing.over:
        return None
    verdict = _reckoned(states.judged)
    failed = [state for state in states.all if state.state == "Failed" and state.task.about.needed]
    if verdict and any(state in failed for state in states.others):
        verdict = worst((verdict, Verdict.INCONCLUSIVE))
    if failed:
        return _failed(failed, verdict)
    judged = verdict or Verdict.INCONCLUSIVE
    return Outcome(REASONS[judged], REASONS[judged], _sentence(judged, states), judged)


def held_against_candidates(states: RunStates) -> RunStates:
    """The run, its summary failed where its verdict is not the one that the candidates' own results make.

    Both come from the same reports: where they differ, an answer was forged or a report was changed. A candidate that
    failed may have stored a report all the same, so then nothing is held against anything.
    """
    summary = states.conclusion
    if summary.result is None or not all(state.state == "Finished" for state in states.judged):
        return states
    told, reckoned = summary.result.verdict, _reckoned(states.judged) or Verdict.INCONCLUSIVE
    if told is reckoned:
        return states
    report = f"the report {summary.result.report.uri}" if summary.result.report else "the summary"
    why = f" ({summary.result.message})" if summary.result.message else ""
    sentence = (
        f"{report} says {told.value if told else 'nothing'}{why}, the candidates' own results say {reckoned.value}: "
        f"one of them was changed, so neither is believed; annotate the audit with a new {ANNOTATION_RERUN}"
    )
    return states.replaced(replace(summary, state="Failed", result=None, trouble=Trouble(Reason.ERROR, sentence)))


def _reckoned(candidates: Sequence[TaskState]) -> Verdict | None:
    """The worst candidate's verdict; one without counts as inconclusive, and all of them without as none."""
    verdicts = [state.verdict for state in candidates]
    return worst(verdict or Verdict.INCONCLUSIVE for verdict in verdicts) if any(verdicts) else None


def report_digests(states: RunStates) -> dict[str, str]:
    """SHA-256 of each candidate's and repair's report by its key, as its task told it; those that are known."""
    digests: dict[str, str] = {}
    for state in (*states.candidates, *states.repairs):
        told = state.result.report.sha256 if state.result and state.result.report else None
        if digest := (state.recorded.report_sha256 if state.recorded else None) or told:
            digests[state.task.key] = digest
    return digests


def worst_of(state: TaskState) -> Worst | None:
    """The candidate's worst finding, where there is one."""
    if isinstance(state.recorded, CandidateStatus):
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
    # Beside its limit, a figure reads as a breach of it.
    word = WORDS.get(state.verdict, "") if state.verdict else ""
    return shorten(f"{state.task.key}: {word}{found.check}{value}{limit}{tensor}", 512)


def _failed(failed: Sequence[TaskState], verdict: Verdict | None) -> Outcome:
    troubles = [(state, state.trouble or Trouble(Reason.ERROR, "failed")) for state in failed]
    troubles.sort(key=lambda pair: pair[1].reason != Reason.INVALID_INPUT)
    state, trouble = troubles[0]
    more = f" ({len(failed) - 1} more failed)" if len(failed) > 1 else ""
    reason = Reason.INVALID_INPUT if trouble.reason == Reason.INVALID_INPUT else Reason.ERROR
    return Outcome(reason, trouble.reason, f"{state.task.key}: {trouble.message}{more}", verdict)


def _sentence(verdict: Verdict, states: RunStates) -> str:
    candidates = states.judged
    first, *more = [state for state in candidates if (state.verdict or Verdict.INCONCLUSIVE) is verdict]
    if verdict is Verdict.PASSED:
        count = f"All {len(candidates)} candidates" if len(candidates) > 1 else f"Candidate {first.task.key}"
        ship = states.conclusion.result.recommendation if states.conclusion.result else None
        return f"{count} passed" + (f"; ship {ship}." if ship else ".")
    found = worst_of(first)
    word = "breached" if verdict is Verdict.FAILED else "could not be judged"
    said = found.message if found else _message_of(first)
    why = f": {said}" if said else ""
    counted = f"{1 + len(more)} of {len(candidates)} candidates {word}"
    return f"{counted}{_repaired(states)}; {first.task.key}{why}"


def _repaired(states: RunStates) -> str:
    """What came of repairs, which changes no verdict, as a clause; nothing where none began."""
    failed = [state for state in states.repairs if state.state == "Failed"]
    told = [f"{state.task.key} failed: {state.trouble.message if state.trouble else ''}" for state in failed]
    result = states.conclusion.result
    if result and result.recommendation and result.deploy:
        told.append(f"ship the repaired {result.recommendation}")
    elif result and not result.recommendation and any(state.state == "Finished" for state in states.repairs):
        told.append("no repair passes")
    return "".join(f"; {shorten(clause, 256)}" for clause in told)
