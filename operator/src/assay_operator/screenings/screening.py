"""A GpuScreening as the operator keeps it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from assay_api.asked import asked
from assay_api.names import ANNOTATION_RERUN, LABEL_TRACE, SCREENING_KIND, Condition
from assay_operator.objects.keys import Key
from assay_operator.objects.raw import Raw, compact, condition, foreign, seconds, time
from assay_operator.objects.recorded import changed_by_others
from assay_operator.objects.retention import managed_by


@dataclass(frozen=True, slots=True)
class Screening:
    """A GpuScreening: `spec` and `status` are JSON.

    Attributes:
        named: GPUs that the run on record names, or the one before while it goes on.
        record: the status as the operator last wrote it, where another hand has changed it since.
    """

    namespace: str
    name: str
    uid: str
    generation: int
    version: str
    created: datetime
    deleting: bool
    rerun: str
    spec: bytes
    status: bytes
    phase: str
    verdict: str
    complete: bool
    named: int = 0
    record: bytes | None = None
    reason: str = ""
    since: float = 0.0
    until: float | None = None
    managed: str = ""
    trace: str = ""
    foreign: bool = False

    @property
    def key(self) -> Key:
        """Kind, namespace and name."""
        return Key(SCREENING_KIND, self.namespace, self.name)

    def asked(self, handled: str | None) -> str:
        """Digest of what the annotation asks for, or of what was handled last of one that is not there any more."""
        return asked(self.rerun, "", handled)

    @staticmethod
    def of(raw: Raw) -> Screening:
        """Read one from its raw form."""
        meta, spec, status = raw["metadata"], raw.get("spec") or {}, raw.get("status") or {}
        annotations, labels = meta.get("annotations") or {}, meta.get("labels") or {}
        ended = condition(status, Condition.COMPLETE).get("status") == "True"
        return Screening(
            namespace=meta["namespace"],
            name=meta["name"],
            uid=meta["uid"],
            generation=int(meta.get("generation", 0)),
            version=meta["resourceVersion"],
            created=time(meta["creationTimestamp"]),
            deleting="deletionTimestamp" in meta,
            foreign=foreign(spec),
            rerun=annotations.get(ANNOTATION_RERUN) or "",
            spec=compact(spec),
            status=compact(status),
            phase=status.get("phase") or "",
            verdict=status.get("verdict") or "",
            complete=ended and not spec.get("schedule"),
            # A stand-in that is wrong calls nobody.
            named=0 if status.get("emulated") else int((status.get("gpus") or {}).get("named") or 0),
            reason=condition(status, Condition.READY).get("reason") or "",
            since=seconds(status.get("startTime")) or seconds(meta.get("creationTimestamp")) or 0.0,
            until=seconds(status.get("completionTime")),
            managed=managed_by(meta),
            trace=labels.get(LABEL_TRACE) or "",
        )


def keep(new: Any, known: Any) -> Any:
    """A screening as a watch brings it, with the status that the operator has on record where it is another by now."""
    assert isinstance(new, Screening)
    assert isinstance(known, Screening)
    record = changed_by_others(new, known)
    return new if record is None else replace(new, record=record)
