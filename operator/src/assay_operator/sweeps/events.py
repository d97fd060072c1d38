"""What `kubectl describe` tells of a sweep: that a run began, was held, ended; found by comparing two statuses."""

from __future__ import annotations

from collections.abc import Iterator

from assay_api.names import Condition, Phase, Reason
from assay_api.sweep_status import SweepStatus
from assay_operator.audits.conditions import find
from assay_operator.objects.events import NORMAL, WARNING, Event, accepted_events


def sweep_events(old: SweepStatus, new: SweepStatus) -> tuple[Event, ...]:
    """Events of one pass."""
    return tuple(_events(old, new))


def _events(old: SweepStatus, new: SweepStatus) -> Iterator[Event]:
    dropped = (new.missed_runs or 0) - (old.missed_runs or 0)
    if dropped > 0:
        many = f"{dropped} scheduled runs were" if dropped > 1 else "A scheduled run was"
        yield Event(WARNING, "Missed", f"{many} dropped, up to {new.last_schedule_time}.")
    if new.run and new.run != old.run:
        yield Event(NORMAL, "Started", f"Run {new.run}.")
    done, was = new.accepted, old.accepted
    if done and not done.waiting and done != was:
        yield from accepted_events(done)
    held, was_held = (status.phase == Phase.SUSPENDED.value for status in (new, old))
    if held and not was_held:
        yield Event(NORMAL, Reason.SUSPENDED, "Suspended: no audit starts.")
    if was_held and not held and old.run == new.run:
        yield Event(NORMAL, "Resumed", "Resumed.")
    before, now = find(old.conditions, Condition.COMPLETE), find(new.conditions, Condition.COMPLETE)
    if now and now.status == "True" and (old.run, before and before.message) != (new.run, now.message):
        kind = NORMAL if now.reason == Reason.PASSED else WARNING
        yield Event(kind, "Complete", f"Run {new.run or '-'}: {now.reason}: {now.message}")
