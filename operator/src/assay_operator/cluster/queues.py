"""What Kueue says of Jobs that wait in its queues: asked now and then, of each namespace that has some.

A Job in a queue is suspended and says nothing. Kueue keeps a Workload for each, whose condition `QuotaReserved` tells
why it waits: for room, or because its queue is not there. Where the operator may not read Workloads, nothing is known.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable
from datetime import datetime
from typing import Final

from assay_operator.cluster.api import Api, ApiError
from assay_operator.cluster.cache import Cache
from assay_operator.objects.children import Job
from assay_operator.objects.keys import Group, Key
from assay_operator.objects.queued import JOB_UID, said_by
from assay_operator.objects.raw import Raw
from assay_operator.objects.resources import WORKLOADS, Resource

log = logging.getLogger(__name__)

# Kueue makes the Workload of a Job at once; a busy one within seconds.
GRACE_SECONDS: Final = 30.0
# Only then asked again which version of its API there is; where there is none, each time.
VERSION_SECONDS: Final = 600.0


class Queues:
    """Asks Kueue about the Jobs that wait in its queues.

    Args:
        api: the API server.
        cache: what there is; what is told is kept in its memory.
        add: has an object of ours looked at.
        seconds: how often to ask.
        clock: the API server's time.
    """

    def __init__(
        self,
        api: Api,
        cache: Cache,
        add: Callable[[Key], None],
        seconds: float,
        clock: Callable[[], datetime],
    ) -> None:
        self._api, self._cache, self._add, self._seconds, self._clock = api, cache, add, seconds, clock
        self._known: tuple[datetime, Resource] | None = None

    async def work(self) -> None:
        """Ask, for ever; what keeps it from asking is told once."""
        told = ""
        while True:
            await asyncio.sleep(self._seconds)
            try:
                await self.ask_all()
                told = ""
            except ApiError as error:
                if error.message != told:
                    log.info("Kueue could not be asked about the Jobs in its queues", extra={"error": error.message})
                told = error.message

    async def ask_all(self) -> None:
        """Ask once about every Job that waits, and have those looked at of which something new is told.

        Raises:
            ApiError: the API server does not answer, or does not let this process ask.
        """
        waiting: dict[str, list[tuple[Group, Job]]] = defaultdict(list)
        for group, job in self._cache.own_jobs():
            if job.queue and job.suspended and not (job.finished or job.deleting):
                waiting[group.namespace].append((group, job))
        if not waiting:
            return
        workloads = await self._workloads()
        for namespace, jobs in waiting.items():
            found = await self._conditions(workloads, namespace) if workloads else None
            for group, job in jobs:
                self._take(group, job, found)

    async def _workloads(self) -> Resource | None:
        """Where this cluster has Workloads; None where it has no Kueue."""
        now = self._clock()
        if self._known is None or (now - self._known[0]).total_seconds() > VERSION_SECONDS:
            self._known = None
            try:
                group = await self._api.get(f"/apis/{WORKLOADS.group}")
            except ApiError as error:
                if error.status != 404:
                    raise
                return None
            version = group["preferredVersion"]["groupVersion"]
            self._known = now, Resource(version, WORKLOADS.kind, WORKLOADS.plural)
        return self._known[1]

    async def _conditions(self, workloads: Resource, namespace: str) -> dict[str, Raw]:
        """The Workloads of a namespace by the UID of their Job."""
        found: dict[str, Raw] = {}
        async for page in self._api.pages(workloads, namespace, {"labelSelector": JOB_UID}):
            for workload in page["items"]:
                found[workload["metadata"]["labels"][JOB_UID]] = workload
        return found

    def _take(self, group: Group, job: Job, found: dict[str, Raw] | None) -> None:
        memory, now = self._cache.memory(group), self._clock()
        before = memory.queued.get(job.uid)
        if found is not None and job.uid not in found and (now - job.created).total_seconds() < GRACE_SECONDS:
            return
        workload = (found or {}).get(job.uid)
        told = said_by(workload, kueue=found is not None, now=now).after(before)
        if told == before:
            return
        memory.queued = {**memory.queued, job.uid: told}
        if key := self._cache.key_of(group):
            self._add(key)
