"""Carrying out a Decision: Jobs first, then the status in one write, then deletions, then events.

Each step may be cut short by a crash and the next pass goes on from what is there. A Job that exists already is the
one that was wanted, for its name is its content.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime
from typing import Any

from assay_api.model import to_wire
from assay_api.names import LABEL_KIND
from assay_operator.audits.events import Event
from assay_operator.audits.reconcile import Decision
from assay_operator.cluster.api import JOBS, Api, ApiError
from assay_operator.cluster.cache import Cache
from assay_operator.cluster.observed import Audit, Job, Observed
from assay_operator.cluster.refusals import REFUSALS, Refusal
from assay_operator.process.metrics import Metrics

log = logging.getLogger(__name__)

Post = Callable[[Audit, tuple[Event, ...], datetime], None]


class JobRefused(Exception):
    """The API server would not have a Job; what becomes of its task is decided next."""


class Applier:
    """Carries decisions out.

    Args:
        api: the API server.
        cache: told of everything written.
        metrics: counts it.
        post: takes the events.
    """

    def __init__(self, api: Api, cache: Cache, metrics: Metrics, post: Post) -> None:
        self._api, self._cache, self._metrics, self._post = api, cache, metrics, post

    async def apply(self, observed: Observed, decision: Decision, now: datetime) -> None:
        """Carry out a decision.

        Raises:
            ApiError: a request failed that is worth trying again.
            JobRefused: a Job was refused; everything else is done.
        """
        audit = observed.audit
        fresh = [not await self._create(audit, manifest, now) for manifest in decision.create]
        for name, value in decision.suspend:
            await self._suspend(audit, name, value)
        refused = self._cache.refused.get(audit.key, {})
        untold = any(name not in observed.refused for name in refused)
        if decision.status is not None and not untold:
            await self._write_status(audit, decision)
        for name in dict.fromkeys(decision.delete):
            await self._delete(observed, name)
        if not untold:
            self._post(audit, _told(decision.events, all_created=not any(fresh)), now)
        if any(fresh):
            raise JobRefused("; ".join(sorted({refusal.message for refusal in refused.values()})))

    async def _create(self, audit: Audit, manifest: dict[str, Any], now: datetime) -> bool:
        """Create a Job; whether it is there now."""
        name = manifest["metadata"]["name"]
        try:
            raw = await self._api.create(JOBS, audit.namespace, manifest)
            self._metrics.jobs.labels(manifest["metadata"]["labels"][LABEL_KIND]).inc()
        except ApiError as error:
            if error.status == 409:
                raw = await self._api.read(JOBS, audit.namespace, name)
            elif error.status in REFUSALS:
                before = self._cache.refused.get(audit.key, {})
                refusal = Refusal(error.status, error.message, now).after(before.get(name))
                self._cache.refused[audit.key] = {**before, name: refusal}
                return False
            else:
                raise
        self._cache.jobs.put(audit.namespace, Job.of(raw))
        if name in self._cache.refused.get(audit.key, {}):
            self._cache.refused[audit.key] = {k: v for k, v in self._cache.refused[audit.key].items() if k != name}
        return True

    async def _suspend(self, audit: Audit, name: str, value: bool) -> None:
        try:
            raw = await self._api.patch(JOBS, audit.namespace, name, {"spec": {"suspend": value}})
        except ApiError as error:
            if error.status != 404:
                raise
            return
        self._cache.jobs.put(audit.namespace, Job.of(raw))

    async def _write_status(self, audit: Audit, decision: Decision) -> None:
        assert decision.status is not None
        raw = await self._api.apply_status(audit.namespace, audit.name, audit.version, to_wire(decision.status))
        self._metrics.statuses.inc()
        self._cache.put_audit(Audit.of(raw))

    async def _delete(self, observed: Observed, name: str) -> None:
        uid = next((job.uid for job in observed.jobs if job.name == name), None)
        if uid is None:
            return
        try:
            await self._api.delete(JOBS, observed.audit.namespace, name, uid)
        except ApiError as error:
            if error.status not in (404, 409):
                raise


def _told(events: tuple[Event, ...], *, all_created: bool) -> tuple[Event, ...]:
    return events if all_created else tuple(event for event in events if event.reason != "JobCreated")
