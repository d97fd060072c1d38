"""GpuScreening as the operator's table of kinds has it: what is generic there, put in the words of screenings."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from assay_api.names import LABEL_SCREENING
from assay_api.resources import SCREENING
from assay_operator.audits import troubles
from assay_operator.objects.children import JOB, POD
from assay_operator.objects.kind import Kind
from assay_operator.objects.recorded import keep
from assay_operator.objects.seen import Seen
from assay_operator.screenings.reconcile import reconcile, wants_nodes
from assay_operator.screenings.screening import Screening
from assay_operator.screenings.work import observed_of


def silent(seen: Seen, now: datetime) -> tuple[str, ...]:
    """UIDs of Jobs and Pods that have not come up for a while and do not say why."""
    assert isinstance(seen.parent, Screening), f"{seen.parent.key.kind} is no screening"
    return () if seen.parent.complete else troubles.silent(observed_of(seen.parent, seen), now)


SCREENINGS: Final = Kind(
    custom=SCREENING,
    label=LABEL_SCREENING,
    children=(JOB, POD),
    read=Screening.of,
    reconcile=reconcile,
    silent=silent,
    keep=keep,
    nodes=wants_nodes,
)
