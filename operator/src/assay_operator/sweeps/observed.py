"""What the operator knows of one sweep at one moment: itself, its audits, and the Jobs that look at its models.

An audit answers for a cell only where the sweep owns it, by UID, and its spec still is the one it was made with: it was
never changed, or what it means has the digest that stands in the annotation which names its cells.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final

from pydantic import ValidationError

from assay_api.asked import asked
from assay_api.model import Model
from assay_api.names import (
    ANNOTATION_CELLS,
    ANNOTATION_RERUN,
    ANNOTATION_RERUN_FAILED,
    API_VERSION,
    KIND,
    LABEL_QUEUE,
    LABEL_QUEUE_PRIORITY,
    LABEL_TRACE,
    PLURAL,
    SWEEP_KIND,
    Condition,
)
from assay_api.plan import OPERATIONAL
from assay_api.result import shorten
from assay_operator.objects.keys import Key
from assay_operator.objects.raw import Raw, compact, condition, foreign, owner, seconds, time
from assay_operator.objects.resources import Resource
from assay_operator.objects.retention import managed_by
from assay_operator.objects.seen import Seen

AUDITS: Final = Resource(API_VERSION, KIND, PLURAL)
MESSAGE: Final = 240


class MadeFor(Model):
    """What an audit was made for, as its annotation has it."""

    cells: dict[str, str]
    """Key of the cell by the key of the candidate in the audit's status."""
    place: str
    """What all of its cells are of: the model, and the image where the sweep has several."""
    spec: str
    """Digest of the spec."""
    run: str
    """The run of the sweep that made it."""
    rerun: str = ""
    """The annotation that asked for everything to be audited again, as it was then."""
    rerun_failed: str = ""
    """The same of what did not pass."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What an audit says of one cell.

    Attributes:
        verdict: Passed, Failed, Inconclusive, or nothing.
        message: its worst figure, or what it says of itself.
    """

    verdict: str
    message: str


@dataclass(frozen=True, slots=True)
class SweepAudit:
    """An audit of a sweep.

    Attributes:
        made: what it was made for; None: that cannot be read, or its spec is another one now.
        answers: what it says, by the key of the candidate.
        gpu_seconds: what it took so far.
        gpu_cells: candidates that need a GPU.
    """

    name: str
    uid: str
    version: str
    owner: str
    created: datetime
    made: MadeFor | None
    deleting: bool = False
    suspended: bool = False
    phase: str = ""
    complete: bool = False
    reason: str = ""
    answers: Mapping[str, Answer] = field(default_factory=dict)
    gpu_seconds: int = 0
    gpu_cells: int = 0

    @property
    def active(self) -> bool:
        """Whether it has still to come to its end."""
        return not (self.complete or self.deleting)

    @staticmethod
    def of(raw: Raw) -> SweepAudit:
        """Read one from its raw form."""
        meta, spec, status = raw["metadata"], raw.get("spec") or {}, raw.get("status") or {}
        complete = condition(status, Condition.COMPLETE)
        candidates = status.get("candidates") or ()
        entries = (*candidates, *(status.get("repairs") or ()))
        return SweepAudit(
            name=meta["name"],
            uid=meta["uid"],
            version=meta["resourceVersion"],
            owner=owner(meta, "uid"),
            created=time(meta["creationTimestamp"]),
            made=_made(meta, spec),
            deleting="deletionTimestamp" in meta,
            suspended=bool(spec.get("suspend")),
            phase=status.get("phase") or "",
            complete=complete.get("status") == "True",
            reason=complete.get("message") or "",
            answers={each["name"]: _answer(each) for each in candidates},
            gpu_seconds=sum(int(each.get("gpuSeconds") or 0) for each in entries),
            gpu_cells=sum(each.get("backend") == "tensorrt" for each in spec.get("candidates") or ()),
        )


@dataclass(frozen=True, slots=True)
class Sweep:
    """An AccuracySweep: `spec` and `status` are JSON.

    Attributes:
        record: the status as the operator last wrote it, where another hand has changed it since.
    """

    namespace: str
    name: str
    uid: str
    generation: int
    version: str
    created: datetime
    deleting: bool
    queue: str | None
    rerun: str
    rerun_failed: str
    spec: bytes
    status: bytes
    phase: str
    verdict: str
    complete: bool
    record: bytes | None = None
    reason: str = ""
    since: float = 0.0
    until: float | None = None
    managed: str = ""
    trace: str = ""
    queue_priority: str | None = None
    foreign: bool = False

    @property
    def key(self) -> Key:
        """Kind, namespace and name."""
        return Key(SWEEP_KIND, self.namespace, self.name)

    def asked(self, handled: str | None) -> str:
        """Digests of what annotations ask for, and of what was handled last of one that is not there any more.

        To take an annotation away asks for nothing.

        Args:
            handled: the same when the run on record began.
        """
        return asked(self.rerun, self.rerun_failed, handled)

    @staticmethod
    def of(raw: Raw) -> Sweep:
        """Read one from its raw form."""
        meta, spec, status = raw["metadata"], raw.get("spec") or {}, raw.get("status") or {}
        annotations, labels = meta.get("annotations") or {}, meta.get("labels") or {}
        ended = condition(status, Condition.COMPLETE).get("status") == "True"
        return Sweep(
            namespace=meta["namespace"],
            name=meta["name"],
            uid=meta["uid"],
            generation=int(meta.get("generation", 0)),
            version=meta["resourceVersion"],
            created=time(meta["creationTimestamp"]),
            deleting="deletionTimestamp" in meta,
            queue=labels.get(LABEL_QUEUE) or None,
            queue_priority=labels.get(LABEL_QUEUE_PRIORITY) or None,
            foreign=foreign(raw.get("spec") or {}),
            rerun=annotations.get(ANNOTATION_RERUN) or "",
            rerun_failed=annotations.get(ANNOTATION_RERUN_FAILED) or "",
            spec=compact(spec),
            status=compact(status),
            phase=status.get("phase") or "",
            verdict=status.get("verdict") or "",
            complete=ended and not spec.get("schedule"),
            reason=condition(status, Condition.READY).get("reason") or "",
            since=seconds(status.get("startTime")) or seconds(meta.get("creationTimestamp")) or 0.0,
            until=seconds(status.get("completionTime")),
            managed=managed_by(meta),
            trace=labels.get(LABEL_TRACE) or "",
        )


def keep(new: Any, known: Any) -> Any:
    """A sweep as a watch brings it, with the status that the operator has on record where it is another by now."""
    assert isinstance(new, Sweep)
    assert isinstance(known, Sweep)
    record = known.status if known.record is None else known.record
    return new if new.uid != known.uid or new.status == record else replace(new, record=record)


def own_audits(seen: Seen) -> tuple[SweepAudit, ...]:
    """The audits that a sweep owns, the newest first."""
    mine = (each for each in seen.children[AUDITS] if each.owner == seen.parent.uid)
    return tuple(sorted(mine, key=lambda each: (each.created, each.name), reverse=True))


def spec_digest(spec: Raw) -> str:
    """Digest of what a raw spec of an audit means; 1.0 is 1, for an API server writes numbers in its own way."""
    meant = _plain({key: value for key, value in spec.items() if key not in OPERATIONAL})
    text = json.dumps(meant, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode(errors="replace")).hexdigest()[:16]


def _made(meta: Raw, spec: Raw) -> MadeFor | None:
    """What it was made for; None where that cannot be read, or the spec is another one now."""
    text = (meta.get("annotations") or {}).get(ANNOTATION_CELLS, "")
    try:
        made = MadeFor.model_validate_json(text)
    except ValidationError:
        return None
    # The first generation is as the API server took it, where admission may have added something of its own.
    return made if meta.get("generation", 1) == 1 or made.spec == spec_digest(spec) else None


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _answer(entry: Mapping[str, Any]) -> Answer:
    worst = entry.get("worst") or {}
    said = worst.get("message") or entry.get("message") or ""
    return Answer(entry.get("verdict") or "", shorten(said, MESSAGE))
