"""Reading Kubernetes objects as they come, dictionaries in which anything may be missing, and writing their like."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from assay_api.names import MANAGED_BY

Raw = Mapping[str, Any]
Manifest = dict[str, Any]
"""An object as it is sent."""
PACKED_BYTES: Final = 256
DEFLATED: Final = b"x"
_COMPACT: Final = json.JSONEncoder(separators=(",", ":"))


def compact(value: Any) -> bytes:
    """The value as JSON without blanks."""
    return _COMPACT.encode(value).encode()


def packed(value: Any) -> bytes:
    """The value as JSON, deflated where that saves something."""
    text = compact(value)
    return zlib.compress(text, 1) if len(text) > PACKED_BYTES else text


def unpacked(data: bytes) -> bytes:
    """The JSON again; it never begins as what is deflated does."""
    return zlib.decompress(data) if data[:1] == DEFLATED else data


def foreign(spec: Raw) -> bool:
    """Whether a spec says that something else than the operator carries it out."""
    return (spec.get("managedBy") or MANAGED_BY) != MANAGED_BY


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


def seconds(text: str | None) -> float | None:
    """The time in seconds since 1970; None for none, and for what is no time."""
    try:
        return time(text).timestamp() if text else None
    except ValueError:
        return None


def timestamp(now: datetime) -> str:
    """The time as Kubernetes writes it."""
    return now.strftime("%Y-%m-%dT%H:%M:%SZ")
