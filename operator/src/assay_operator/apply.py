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
from assay_api.status import AuditStatus
from assay_operator.api import JOBS, Api, ApiError
from assay_operator.cache import Cache
from assay_operator.events import Event, end_events
from assay_operator.metrics import Metrics
from assay_operator.observed import Audit, Job, Observed
from assay_operator.reconcile import Decision, read_status
from assay_operator.refusals import REFUSALS, UNWRITABLE, Refusal
from assay_operator.status import unwritable_status

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
        refused, events = self._cache.refused.get(audit.key, {}), decision.events
        untold = any(name not in observed.refused for name in refused)
        if decision.status is not None and not untold:
            events = await self._write_status(observed, decision.status, events, now)
        for name in dict.fromkeys(decision.delete):
            await self._delete(observed, name)
        if not untold:
            self._post(audit, _told(events, all_created=not any(fresh)), now)
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

    async def _write_status(
        self, observed: Observed, status: AuditStatus, events: tuple[Event, ...], now: datetime
    ) -> tuple[Event, ...]:
        """Write the status, or that it could not be written, so that nobody waits for ever; the events that tell it."""
        try:
            await self._put_status(observed.audit, status, "written")
        except ApiError as error:
            if error.status not in UNWRITABLE:
                raise
            words = {"audit": "/".join(observed.audit.key), "error": error.message}
            log.error("a status was refused; the audit ends with the words of the refusal", extra=words)
            old = read_status(observed.audit)
            least = unwritable_status(status, error.message, observed, old, now)
            await self._put_status(observed.audit, least, "refused")
            return (*(event for event in events if event.reason != "Complete"), *end_events(old, least))
        return events

    async def _put_status(self, audit: Audit, status: AuditStatus, result: str) -> None:
        raw = await self._api.apply_status(audit.namespace, audit.name, audit.version, to_wire(status))
        self._metrics.statuses.labels(result).inc()
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
