"""What is known of a Job that waits in a queue of Kueue's."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from assay_operator.objects.raw import Raw, condition

JOB_UID: Final = "kueue.x-k8s.io/job-uid"
"""Label of a Workload with the UID of its Job."""
QUOTA: Final = "QuotaReserved"
EVICTED: Final = "Evicted"
"""True from when Kueue took a Workload's place away until it has one again."""
STUCK: Final = frozenset({"Inadmissible", "ExceedsMaxQuota"})
"""Reasons of QUOTA, where it is False, that no other Workload's end does away with."""
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
    status = workload.get("status") or {}
    quota, evicted = condition(status, QUOTA), condition(status, EVICTED)
    waits = quota.get("status") == "False"
    words = [evicted.get("message", "")] if evicted.get("status") == "True" else []
    words += [quota.get("message", "")] if waits else []
    told = "; ".join(dict.fromkeys(filter(None, words)))
    return Queued(told, waits and quota.get("reason") in STUCK, now)
