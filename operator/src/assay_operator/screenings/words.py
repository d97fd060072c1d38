"""What is said of a run of a screening: while it goes on, and how it ended."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from assay_api.finding import Verdict
from assay_api.gpu_screening import ScreenSpec
from assay_api.names import Reason
from assay_api.result import TaskResult
from assay_operator.audits.outcome import REASONS, Outcome
from assay_operator.screenings.standing import NodeState, counts

HUNG: Final = "did not come to an end"
TOLD: Final = 3
"""GPUs or nodes that a sentence names."""


def going(spec: ScreenSpec, states: Sequence[NodeState], *, again: bool) -> tuple[Reason, str]:
    """Reason and sentence of a run that goes on."""
    found = counts(states)
    done = found.scanned + found.skipped + found.hung
    what = "Confirming: " if again else ""
    said = (
        f"{what}{done} of {_many(found.nodes, 'node')} done, {found.running} being screened, {found.waiting} waiting."
    )
    if spec.suspend:
        return Reason.SUSPENDED, f"Suspended by spec.suspend: no further node is begun. {said}"
    # What keeps a node from starting other than its GPUs being in use is what somebody has to mend.
    troubled = next((s for s in states if s.message and s.reason not in (Reason.PENDING, Reason.UNSCHEDULABLE)), None)
    if troubled and not found.running and troubled.state in ("Waiting", "Pending"):
        return troubled.reason, f"{troubled.place.node}: {troubled.message}; {said}"
    held = next((state for state in states if state.state == "Pending" and state.message), None)
    words = f" {held.place.node} {held.message}." if held and not found.running else ""
    return (Reason.RUNNING if found.running else Reason.PENDING), f"{said}{words}"


def none_screened(states: Sequence[NodeState]) -> Outcome:
    """The end of a run in which no node could be screened."""
    wrong = [state for state in states if state.state == "Invalid"]
    if wrong:
        words = f"{wrong[0].place.node}: {wrong[0].message}"
        return Outcome(Reason.INVALID_INPUT, Reason.INVALID_INPUT, words, None)
    words = f"none of {_many(len(states), 'node')} could be screened: {_skipped(states)}"
    if any(state.state == "Hung" for state in states):
        # None did better, so there is nobody to name.
        words = f"{words}; look at the plan, or raise activeDeadlineSeconds"
    return Outcome(Reason.INCONCLUSIVE, Reason.INCONCLUSIVE, words, Verdict.INCONCLUSIVE)


def ended(states: Sequence[NodeState], result: TaskResult | None) -> Outcome:
    """The end of a run, by the comparison of all nodes; None: there is none, for the plan or the record is wrong."""
    if result is None or result.fleet is None:
        return none_screened(states)
    fleet, nodes = result.fleet, counts(states)
    verdict = Verdict.FAILED if fleet.named else result.verdict or Verdict.INCONCLUSIVE
    screened = f"{_many(fleet.scanned, 'GPU')} on {nodes.scanned} of {_many(nodes.nodes, 'node')} screened"
    parts = []
    if fleet.named:
        named = "; ".join(f"{each.device} on {each.node} ({each.message})" for each in fleet.wrong[:TOLD])
        more = f" and {fleet.named - TOLD} more" if fleet.named > TOLD else ""
        parts.append(f"{fleet.named} named: {named}{more}")
    if fleet.unclear:
        one = fleet.doubtful[0] if fleet.doubtful else None
        parts.append(f"nothing can be said of {fleet.unclear}" + (f" ({one.node}: {one.message})" if one else ""))
    if fleet.skipped:
        parts.append(f"{_many(fleet.skipped, 'GPU')} in use and skipped")
    if nodes.skipped:
        parts.append(f"{_many(nodes.skipped, 'node')} skipped ({_skipped(states)})")
    if not parts:
        parts.append(f"no answer deviated: faults in more than {fleet.excludes} of runs are excluded (95 %)")
    emulated = "the CPU stood in for the GPUs, which says nothing of them; " if result.emulated else ""
    return Outcome(REASONS[verdict], REASONS[verdict], f"{emulated}{screened}; {'; '.join(parts)}", verdict)


def _skipped(states: Sequence[NodeState]) -> str:
    found = [state for state in states if state.state in ("Skipped", "Invalid", "Hung")]
    told = "; ".join(f"{state.place.node}: {state.message or HUNG}" for state in found[:TOLD])
    return f"{told}; and {len(found) - TOLD} more" if len(found) > TOLD else told


def _many(count: int, word: str) -> str:
    return f"{count} {word}" if count == 1 else f"{count} {word}s"
