"""Times as reports and records have them: RFC 3339 in UTC, to the second."""

from __future__ import annotations

from datetime import datetime, timezone


def stamp(when: datetime) -> str:
    """A time in UTC as text."""
    return when.isoformat(timespec="seconds").replace("+00:00", "Z")


def utc_now() -> str:
    """The time now."""
    return stamp(datetime.now(timezone.utc))
