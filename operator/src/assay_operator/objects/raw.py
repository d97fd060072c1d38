"""Reading Kubernetes objects as they come: dictionaries in which anything may be missing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

Raw = Mapping[str, Any]


def first(items: Sequence[Raw] | None) -> Raw:
    """The first of some items, or nothing."""
    return items[0] if items else {}


def condition(status: Raw, kind: str) -> Raw:
    """The condition of one type, or nothing."""
    for condition in status.get("conditions") or ():
        if condition.get("type") == kind:
            found: Raw = condition
            return found
    return {}


def owner(meta: Raw, what: str) -> str:
    """Name, UID or kind of the controlling owner, or nothing."""
    for owner in meta.get("ownerReferences") or ():
        if owner.get("controller"):
            return str(owner[what])
    return ""


def time(text: str) -> datetime:
    """A time as Kubernetes writes it."""
    return datetime.fromisoformat(text.replace("Z", "+00:00")).astimezone(UTC)


def time_or_none(text: str | None) -> datetime | None:
    """The time, where there is one."""
    return time(text) if text else None
