"""When an audit that is done is itself deleted: after a time that its spec says, or because there are too many."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from assay_api.audit import AuditSpec
from assay_api.status import AuditStatus
from assay_operator.audits.observed import Observed
from assay_operator.objects.decision import Why
from assay_operator.objects.events import NORMAL, Event
from assay_operator.objects.raw import seconds

# The status of an end is written first, and seen again before the audit goes.
SOON = 1.0


@dataclass(frozen=True)
class Retirement:
    """What becomes of an audit that is done.

    Attributes:
        why: why it is deleted now; None: it is not.
        wait: seconds until it is.
        events: what is told of it.
    """

    why: Why | None = None
    wait: float | None = None
    events: tuple[Event, ...] = ()


def retirement(spec: AuditSpec | None, status: AuditStatus, observed: Observed, now: datetime) -> Retirement:
    """What becomes of an audit.

    Args:
        spec: its spec, where that can be read.
        status: its status, on record or about to be.
        observed: the audit.
        now: the time.
    """
    ended = seconds(status.completion_time)
    if ended is None:
        return Retirement()
    managed, after = observed.audit.managed, spec.delete_seconds_after_finished if spec else None
    left = None if after is None else ended + after - now.timestamp()
    if observed.surplus and not managed:
        return Retirement(why="history")
    if left is None or left > 0:
        return Retirement(wait=None if left is None else max(left, SOON))
    return Retirement(events=_kept(managed, after)) if managed else Retirement(why="ttl")


def _kept(managed: str, after: int | None) -> tuple[Event, ...]:
    words = f"Not deleted {after} s after its end: {managed} manages it, would make it again and have it run again."
    return (Event(NORMAL, "Kept", words),)
