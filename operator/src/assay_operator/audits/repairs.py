"""What the status and the events tell of repairs: tasks beside the candidates, which change no verdict."""

from __future__ import annotations

from collections.abc import Iterator

from assay_api.names import Reason
from assay_api.status import CureStatus, RepairStatus
from assay_operator.audits.tasks import TaskState
from assay_operator.audits.troubles import Trouble
from assay_operator.objects.events import NORMAL, WARNING, Event


def repair_entry(state: TaskState, doing: str | None) -> RepairStatus:
    """A repair's entry in the status.

    Args:
        state: what became of its task.
        doing: what it waits for or is doing.
    """
    if isinstance(state.recorded, RepairStatus) and state.over:
        return state.recorded
    result, retries = state.result, state.retries or None
    if result is None:
        return RepairStatus(name=state.task.key, state=state.state, message=doing, retries=retries)
    return RepairStatus(
        name=state.task.key,
        state=state.state,
        message=result.message or None,
        cures=tuple(CureStatus.model_validate(cure.model_dump()) for cure in result.cures[:32]),
        report_uri=result.report.uri if result.report else None,
        report_sha256=result.report.sha256 if result.report else None,
        retries=retries,
    )


def repair_events(state: TaskState, before: RepairStatus | None) -> Iterator[Event]:
    """Events of a repair.

    Args:
        state: what became of its task.
        before: its entry on record.
    """
    key, trouble = state.task.key, state.trouble
    if state.recorded and state.recorded.state in ("Finished", "Failed"):
        return
    if state.state == "Finished" and state.result:
        cured = any(cure.outcome == "Cured" for cure in state.result.cures)
        yield Event(NORMAL if cured else WARNING, "RepairFinished", f"{key}: {state.result.message or 'finished'}")
    elif state.state == "Failed" and trouble:
        yield Event(WARNING, "RepairFailed", f"{key}, which changes no verdict: {trouble.message}")
    elif trouble and trouble.reason not in (Reason.PENDING, Reason.SUSPENDED) and not _said(trouble, before):
        yield Event(WARNING, trouble.reason, f"{key}: {trouble.message}")


def _said(trouble: Trouble, before: RepairStatus | None) -> bool:
    return before is not None and before.message == str(trouble)
