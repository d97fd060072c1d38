"""AccuracySweep as the operator's table of kinds has it: what is generic there, put in the words of sweeps."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from assay_api.names import LABEL_SWEEP
from assay_api.resources import SWEEP
from assay_operator.audits import troubles
from assay_operator.objects.children import JOB, POD
from assay_operator.objects.kind import ChildKind, Kind
from assay_operator.objects.recorded import keep
from assay_operator.objects.seen import Seen
from assay_operator.sweeps.models import observed_of
from assay_operator.sweeps.observed import AUDITS, Sweep, SweepAudit
from assay_operator.sweeps.reconcile import reconcile, wants_nodes


def silent(seen: Seen, now: datetime) -> tuple[str, ...]:
    """UIDs of Jobs and Pods that have not come up for a while and do not say why."""
    assert isinstance(seen.parent, Sweep), f"{seen.parent.key.kind} is no sweep"
    return () if seen.parent.complete else troubles.silent(observed_of(seen.parent, seen), now)


AUDIT_CHILD: Final = ChildKind(AUDITS, SweepAudit.of, verbs=("create", "patch", "delete"))
SWEEPS: Final = Kind(
    custom=SWEEP,
    label=LABEL_SWEEP,
    children=(AUDIT_CHILD, JOB, POD),
    read=Sweep.of,
    reconcile=reconcile,
    silent=silent,
    keep=keep,
    nodes=wants_nodes,
)
