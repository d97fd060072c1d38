"""Events: what `kubectl describe` tells of an object."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta

from assay_api.baseline import AcceptedStatus
from assay_api.names import API_VERSION, FIELD_MANAGER, LABEL_TRACE
from assay_api.result import shorten
from assay_operator.objects.raw import Manifest, timestamp
from assay_operator.objects.seen import Parent

NORMAL, WARNING = "Normal", "Warning"
MESSAGE = 1000


@dataclass(frozen=True)
class Event:
    """One event: Normal or Warning, a reason for machines, a sentence for people.

    Attributes:
        type: Normal or Warning.
        reason: one word.
        message: the sentence.
        of_creation: it tells that a child was created, so it is left out where the API server refused one, and comes
            after whatever else one pass tells.
        trace: of the run that it is about, where it is about one.
    """

    type: str
    reason: str
    message: str
    of_creation: bool = False
    trace: str = ""


def accepted_events(found: AcceptedStatus) -> tuple[Event, ...]:
    """What is told of an acceptance that is done: of what was accepted, and of what is wrong with the rest."""
    events = []
    if found.accepted:
        events.append(
            Event(NORMAL, "BaselineAccepted", f"{found.accepted} accepted by {found.who or '-'}: {found.why}")
        )
    if found.message:
        events.append(Event(WARNING, "BaselineRefused", found.message))
    return tuple(events)


def event_manifest(parent: Parent, event: Event, now: datetime) -> Manifest:
    """The event as the API takes it, named by what it says: the API server refuses one that it has."""
    key = parent.key
    # Times are whole seconds, and kubectl lists events of one second in no order.
    when = timestamp(now + timedelta(seconds=1) if event.of_creation else now)
    says = "\0".join((parent.uid, str(parent.generation), event.reason, event.message))
    name = f"{key.name[:200]}.{hashlib.sha256(says.encode(errors='replace')).hexdigest()[:16]}"
    labels: Manifest = {"labels": {LABEL_TRACE: event.trace}} if event.trace else {}
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": name, "namespace": key.namespace} | labels,
        "involvedObject": {
            "apiVersion": API_VERSION,
            "kind": key.kind,
            "name": key.name,
            "namespace": key.namespace,
            "uid": parent.uid,
        },
        "type": event.type,
        "reason": event.reason,
        "message": shorten(event.message, MESSAGE),
        "source": {"component": FIELD_MANAGER},
        "reportingComponent": FIELD_MANAGER,
        "firstTimestamp": when,
        "lastTimestamp": when,
        "count": 1,
    }
