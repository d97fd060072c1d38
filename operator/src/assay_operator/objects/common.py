"""What every kind of ours has alike in its raw form, read once for all of them."""

from __future__ import annotations

from sys import intern
from typing import TypedDict

from assay_api.names import LABEL_QUEUE, LABEL_QUEUE_PRIORITY, LABEL_TRACE, Condition
from assay_operator.objects.raw import Raw, condition, foreign, seconds


class Common(TypedDict):
    """Fields by their names; see `seen.Parent`."""

    namespace: str
    name: str
    uid: str
    generation: int
    version: str
    deleting: bool
    foreign: bool
    phase: str
    verdict: str
    reason: str
    since: float
    until: float | None
    trace: str
    queue: str | None
    queue_priority: str | None


def common(raw: Raw) -> Common:
    """The fields of an object; words that thousands share are kept once."""
    meta, status = raw["metadata"], raw.get("status") or {}
    labels = meta.get("labels") or {}
    return {
        "namespace": intern(meta["namespace"]),
        "name": meta["name"],
        "uid": meta["uid"],
        "generation": int(meta.get("generation", 0)),
        "version": meta["resourceVersion"],
        "deleting": "deletionTimestamp" in meta,
        "foreign": foreign(raw.get("spec") or {}),
        "phase": intern(status.get("phase") or ""),
        "verdict": intern(status.get("verdict") or ""),
        "reason": intern(condition(status, Condition.READY).get("reason") or ""),
        "since": seconds(status.get("startTime")) or seconds(meta.get("creationTimestamp")) or 0.0,
        "until": seconds(status.get("completionTime")),
        "trace": intern(labels.get(LABEL_TRACE) or ""),
        "queue": labels.get(LABEL_QUEUE) or None,
        "queue_priority": labels.get(LABEL_QUEUE_PRIORITY) or None,
    }
