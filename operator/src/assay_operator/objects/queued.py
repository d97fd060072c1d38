"""What is known of a Job that waits in a queue of Kueue's."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from assay_operator.objects.raw import Raw, condition

JOB_UID: Final = "kueue.x-k8s.io/job-uid"
"""Label of a Workload with the UID of its Job."""
QUOTA: Final = "QuotaReserved"
INADMISSIBLE: Final = "Inadmissible"
NO_KUEUE: Final = "there is no Kueue in this cluster, so nothing ever starts it"
NO_WORKLOAD: Final = "Kueue made no Workload of its Job: it does not manage Jobs of this namespace"
INACTIVE: Final = "its Workload is inactive (spec.active: false)"


@dataclass(frozen=True, slots=True)
class Queued:
    """Why a Job waits in a queue.

    Attributes:
        message: Kueue's words, or ours where Kueue has none; empty: nothing but its turn.
        stuck: it will wait until somebody mends something.
        since: since when it has been stuck, as far as it was seen.
    """

    message: str
    stuck: bool
    since: datetime

    def after(self, before: Queued | None) -> Queued:
        """The same, known for as long as what was known before."""
        return replace(self, since=before.since) if before and before.stuck == self.stuck else self


def said_by(workload: Raw | None, *, kueue: bool, now: datetime) -> Queued:
    """What a Workload says of its Job.

    Args:
        workload: the Workload; None: there is none.
        kueue: whether there is a Kueue at all.
        now: the time.
    """
    if not kueue:
        return Queued(NO_KUEUE, True, now)
    if workload is None:
        return Queued(NO_WORKLOAD, True, now)
    if (workload.get("spec") or {}).get("active") is False:
        return Queued(INACTIVE, True, now)
    quota = condition(workload.get("status") or {}, QUOTA)
    waits = quota.get("status") == "False"
    return Queued(quota.get("message", "") if waits else "", waits and quota.get("reason") == INADMISSIBLE, now)
