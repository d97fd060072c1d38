"""When a status is written, and when a sweep is looked at again.

A sweep of thousands of cells has news every second. While only figures and sentences change, its status is written now
and then; whatever somebody may wait for is written at once.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final

from assay_api.model import to_wire
from assay_api.sweep_status import SweepStatus
from assay_operator.objects.decision import Decision
from assay_operator.objects.raw import time
from assay_operator.objects.resources import Ref
from assay_operator.sweeps.events import sweep_events
from assay_operator.sweeps.observed import Sweep
from assay_operator.sweeps.run import Now

WRITE_SECONDS: Final = 10.0
"""While only counts change, a status is written so often at most."""
LONGEST_WAIT: Final = 3_600.0


def written(
    sweep: Sweep,
    old: SweepStatus,
    new: SweepStatus,
    now: datetime,
    due: Now | None = None,
    delete: tuple[Ref, ...] = (),
    wait: float | None = None,
) -> Decision[SweepStatus]:
    """The decision that has a status written where that is due.

    Args:
        sweep: the sweep.
        old: the status on record.
        new: the status as it should be.
        now: the time.
        due: the run there is now, for when its schedule has the next one.
        delete: children to delete.
        wait: seconds after which to look again.
    """
    waits = [] if wait is None else [wait]
    if due and due.due and due.due.next:
        waits.append(min(max((due.due.next - now).total_seconds(), 0.0) + 0.5, LONGEST_WAIT))
    before, after = (_without_time(to_wire(each)) for each in (old, new))
    write: SweepStatus | None = new
    if before == after and sweep.record is None and json.loads(sweep.status):
        write = None
    elif _only_counts(old, new) and (left := _fresh_for(old, now)) > 0:
        write = None
        waits.append(left)
    events = sweep_events(old, new) if write else ()
    edited = sweep.record is not None
    return Decision(status=write, replace=edited, delete=delete, events=events, requeue_after=min(waits, default=None))


def _only_counts(old: SweepStatus, new: SweepStatus) -> bool:
    """Whether nothing but figures and sentences differs, in a run or an acceptance that goes on."""
    same = old.run == new.run and old.phase == new.phase and old.observed_generation == new.observed_generation
    reasons = [[(c.type, c.status, c.reason) for c in status.conditions] for status in (old, new)]
    if not same or reasons[0] != reasons[1]:
        return False
    if new.accepted and new.accepted.waiting and old.accepted and old.accepted.asked == new.accepted.asked:
        # Of an acceptance that thousands of answers are asked for, the end is what is waited for.
        return True
    return new.completion_time is None and new.phase in ("Pending", "Running")


def _fresh_for(old: SweepStatus, now: datetime) -> float:
    """Seconds for which the status on record is new enough."""
    if not old.update_time:
        return 0.0
    return (time(old.update_time) + timedelta(seconds=WRITE_SECONDS) - now).total_seconds()


def _without_time(wire: Mapping[str, object]) -> dict[str, object]:
    return {key: value for key, value in wire.items() if key != "updateTime"}
