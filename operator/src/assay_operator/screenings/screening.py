"""A GpuScreening as the operator keeps it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from assay_api.asked import asked
from assay_api.names import ANNOTATION_RERUN, SCREENING_KIND, Condition
from assay_operator.objects.common import common
from assay_operator.objects.keys import Key
from assay_operator.objects.raw import Raw, compact, condition, time
from assay_operator.objects.retention import managed_by


@dataclass(frozen=True, slots=True)
class Screening:
    """A GpuScreening: `spec` and `status` are JSON.

    Attributes:
        named: GPUs that the run on record names, or the one before while it goes on.
        queue: queue of Kueue's that its Jobs wait in.
        queue_priority: class of Kueue's by which they are ordered there.
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
    queue: str | None = None
    queue_priority: str | None = None

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
        annotations = meta.get("annotations") or {}
        ended = condition(status, Condition.COMPLETE).get("status") == "True"
        return Screening(
            **common(raw),
            created=time(meta["creationTimestamp"]),
            rerun=annotations.get(ANNOTATION_RERUN) or "",
            spec=compact(spec),
            status=compact(status),
            complete=ended and not spec.get("schedule"),
            # A stand-in that is wrong calls nobody.
            named=0 if status.get("emulated") else int((status.get("gpus") or {}).get("named") or 0),
            managed=managed_by(meta),
        )
