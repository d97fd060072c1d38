"""When a sweep runs: which scheduled time is due, and which is next. Pure: the time is an argument.

A run is named by its scheduled time in UTC, so that beginning it twice begins it once, whatever clocks do. Times come
from cron's own rules (cronsim follows Debian's cron): a time in the hour that clocks leave out begins right after it,
one in the hour that comes twice begins once; a schedule that has * or a step for minute or hour goes by elapsed time.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError

from assay_api.sweep import Schedule

SKIP_SECONDS: Final = 600
"""How late a run may begin where missed ones are skipped and nothing else is said."""
MOST_COUNTED: Final = 1000
_BACK: Final = tuple(timedelta(days=days) for days in (1 / 24, 1, 8, 32, 367, 5 * 366))


@dataclass(frozen=True)
class Due:
    """What a schedule asks for now.

    Attributes:
        run: the scheduled time in UTC of the run that begins now; None: none does.
        dealt: the latest scheduled time that is dealt with hereby, by that run or by dropping it; None: none.
        dropped: scheduled times that are dropped hereby, counted up to `MOST_COUNTED`.
        next: the first scheduled time after now; None: there is none.
    """

    run: datetime | None = None
    dealt: datetime | None = None
    dropped: int = 0
    next: datetime | None = None


def schedule_problems(schedule: Schedule) -> tuple[str, ...]:
    """What is wrong with a schedule beyond what its fields' patterns tell, one sentence each, led by the field."""
    found = []
    try:
        zone = ZoneInfo(schedule.time_zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        zone = ZoneInfo("Etc/UTC")
        found.append(
            f"schedule.timeZone: there is no time zone {schedule.time_zone!r}: "
            "take one of the IANA database, for example Europe/Berlin or Etc/UTC"
        )
    try:
        if next(_times(schedule.cron, datetime(2026, 1, 1, tzinfo=zone)), None) is None:
            found.append(f"schedule.cron: {schedule.cron!r} never comes: correct the day or the month")
    except CronSimError as error:
        found.append(f"schedule.cron: {schedule.cron!r} is no schedule of cron ({str(error).lower()}): correct it")
    return tuple(found)


def due(schedule: Schedule, since: datetime, now: datetime, *, free: bool) -> Due:
    """What is due.

    Args:
        schedule: one without problems.
        since: the scheduled time that was dealt with last, or when the sweep was made.
        now: the time.
        free: whether a run may begin: none goes on, and the sweep is not suspended.
    """
    zone = ZoneInfo(schedule.time_zone)
    following = next(_times(schedule.cron, now.astimezone(zone)), None)
    latest = _latest(schedule, since, now)
    if latest is None:
        return Due(next=following)
    skip = schedule.missed_runs == "Skip"
    if not (free or skip):
        return Due(next=following)
    deadline = schedule.starting_deadline_seconds or (SKIP_SECONDS if skip else None)
    late = deadline is not None and (now - latest).total_seconds() > deadline
    runs = free and not late
    missed = _count(schedule, since, latest)
    return Due(latest if runs else None, latest, missed - runs, following)


def run_name(scheduled: datetime) -> str:
    """The name of a run: its scheduled time in UTC, to the minute, as a label's value takes it."""
    return scheduled.astimezone(timezone.utc).strftime("%Y%m%dT%H%MZ")


def _latest(schedule: Schedule, since: datetime, now: datetime) -> datetime | None:
    """The latest scheduled time after `since` and not after now."""
    zone = ZoneInfo(schedule.time_zone)
    for back in _BACK:
        start = max(since, now - back)
        found = None
        for time in _times(schedule.cron, start.astimezone(zone)):
            if time > now:
                break
            found = time
        if found is not None or start == since:
            return found
    return None


def _count(schedule: Schedule, since: datetime, latest: datetime) -> int:
    """Scheduled times after `since` up to `latest`, at most `MOST_COUNTED`."""
    zone, count = ZoneInfo(schedule.time_zone), 0
    for time in _times(schedule.cron, since.astimezone(zone)):
        if time > latest or count == MOST_COUNTED:
            break
        count += 1
    return count


def _times(cron: str, start: datetime) -> Iterator[datetime]:
    """The times after `start`, in UTC, in order and each once.

    Raises:
        CronSimError: it is no schedule.
    """
    last = start.astimezone(timezone.utc)
    for time in CronSim(cron, start):
        utc = time.astimezone(timezone.utc)
        if utc > last:
            last = utc
            yield utc
