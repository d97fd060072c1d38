"""An AccuracySweep as the operator keeps it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from assay_api.asked import asked
from assay_api.names import (
    ANNOTATION_ACCEPT,
    ANNOTATION_RERUN,
    ANNOTATION_RERUN_FAILED,
    SWEEP_KIND,
    Condition,
)
from assay_operator.objects.common import common
from assay_operator.objects.keys import Key
from assay_operator.objects.raw import Raw, compact, condition, time
from assay_operator.objects.retention import managed_by


def _regressed(status: Raw) -> int:
    """Answers that regressed; while a run only looks at its models, those of the run before."""
    ended: Sequence[Raw] = status.get("history") or ({},)
    told = status if "models" in status else ended[0]
    return int((told.get("counts") or {}).get("regressed") or 0)


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
    accept: str
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
    regressed: int = 0

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
        annotations = meta.get("annotations") or {}
        ended = condition(status, Condition.COMPLETE).get("status") == "True"
        return Sweep(
            **common(raw),
            created=time(meta["creationTimestamp"]),
            rerun=annotations.get(ANNOTATION_RERUN) or "",
            rerun_failed=annotations.get(ANNOTATION_RERUN_FAILED) or "",
            accept=annotations.get(ANNOTATION_ACCEPT) or "",
            spec=compact(spec),
            status=compact(status),
            complete=ended and not spec.get("schedule"),
            managed=managed_by(meta),
            regressed=_regressed(status),
        )
