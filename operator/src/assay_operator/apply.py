"""Carrying out a Decision: children first, then what nodes say, then the status in one write, deletions, events.

Each step may be cut short by a crash and the next pass goes on from what is there. A child that exists already is the
one that was wanted, for its name is its content.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Final

from assay_api.model import Model, to_wire
from assay_api.names import LABEL_KIND, trace_of
from assay_operator.cluster.api import Api, ApiError
from assay_operator.cluster.cache import Cache
from assay_operator.cluster.feed import Feed
from assay_operator.cluster.marks import write_marks
from assay_operator.objects.decision import Decision, Why
from assay_operator.objects.events import Event
from assay_operator.objects.keys import Key
from assay_operator.objects.kind import Kind, Kinds
from assay_operator.objects.raw import Manifest, Raw, unpacked
from assay_operator.objects.refusals import REFUSALS, UNWRITABLE, Refusal
from assay_operator.objects.resources import Ref, Resource
from assay_operator.objects.seen import Memory, Parent, Seen
from assay_operator.process.metrics import Metrics

log = logging.getLogger(__name__)

CONFLICT: Final = 409

Post = Callable[[Parent, tuple[Event, ...], datetime], None]


class ChildRefused(Exception):
    """The API server would not have a child; what becomes of that is decided next."""


class Applier:
    """Carries decisions out.

    Args:
        api: the API server.
        kinds: what there is.
        cache: remembers what was refused.
        feed: told of everything written.
        metrics: counts it.
        post: takes the events.
    """

    def __init__(self, api: Api, kinds: Kinds, cache: Cache, feed: Feed, metrics: Metrics, post: Post) -> None:
        self._api, self._kinds, self._cache, self._feed = api, kinds, cache, feed
        self._metrics, self._post = metrics, post
        self._untold: dict[Key, tuple[Event, ...]] = {}

    async def apply(self, seen: Seen, decision: Decision[Model], now: datetime) -> None:
        """Carry out a decision.

        Raises:
            ApiError: a request failed that is worth trying again.
            ChildRefused: a child was refused; everything else is done.
        """
        parent, memory = seen.parent, self._cache.memory(seen.parent.key.group)
        trace = _trace(parent, decision)
        announced = decision.announce and decision.status is not None
        if announced:
            decision = await self._announce(seen, decision, now)
            memory = self._cache.memory(seen.parent.key.group)
        fresh = [not await self._create(parent, memory, manifest, now) for manifest in decision.create]
        for ref, change in decision.patch:
            await self._patch(parent.key.namespace, ref, change)
        await write_marks(self._api, decision.marks, now)
        refused = memory.refused
        untold = any(ref not in seen.refused for ref in refused)
        if decision.status is not None and not untold:
            decision = await self._write_status(seen, decision, decision.status, now)
        await self._delete_all(seen, decision)
        if announced or not untold:
            told = (event for event in decision.events if not (event.of_creation and any(fresh)))
            # What is told twice is one event, by its name.
            events = dict.fromkeys((*self._untold.pop(parent.key, ()), *told))
            self._post(parent, tuple(replace(event, trace=trace) for event in events), now)
        if decision.retire:
            await self._retire(parent, decision.retire)
        if any(fresh):
            raise ChildRefused("; ".join(sorted({refusal.message for refusal in refused.values()})))

    def forget(self, key: Key) -> None:
        """It is gone, and nothing is told of it any more."""
        self._untold.pop(key, None)

    async def _announce(self, seen: Seen, decision: Decision[Model], now: datetime) -> Decision[Model]:
        """Write the status now; what is left to be done."""
        assert decision.status is not None
        return replace(await self._write_status(seen, decision, decision.status, now), status=None)

    async def _create(self, parent: Parent, memory: Memory, manifest: Manifest, now: datetime) -> bool:
        """Create a child; whether it is there now."""
        meta, namespace = manifest["metadata"], parent.key.namespace
        ref = Ref(self._kinds.resource_of(manifest), meta["name"])
        try:
            raw = await self._api.create(ref.resource, namespace, manifest)
            if kind := meta["labels"].get(LABEL_KIND):
                self._metrics.jobs.labels(kind).inc()
        except ApiError as error:
            if error.status == CONFLICT:
                # It may have come to its end before its creation was answered: that is news to this very pass.
                self._feed.take(ref.resource, await self._api.read(ref.resource, namespace, ref.name))
            elif error.status in REFUSALS:
                refusal = Refusal(error.status, error.message, now).after(memory.refused.get(ref))
                memory.refused = {**memory.refused, ref: refusal}
                self._metrics.outcomes.refused.labels(str(error.status)).inc()
                return False
            else:
                raise
        else:
            self._take(parent, ref.resource, raw)
        if ref in memory.refused:
            memory.refused = {other: refusal for other, refusal in memory.refused.items() if other != ref}
        return True

    async def _patch(self, namespace: str, ref: Ref, change: Manifest) -> None:
        try:
            raw = await self._api.patch(ref.resource, namespace, ref.name, change)
        except ApiError as error:
            if error.status != 404:
                raise
            return
        # With whatever became of it meanwhile, which no watch may have told yet.
        self._feed.take(ref.resource, raw)

    async def _write_status(
        self, seen: Seen, decision: Decision[Model], status: Model, now: datetime
    ) -> Decision[Model]:
        """Write the status, or that it could not be written, so that nobody waits for ever; what was done instead."""
        kind = self._kinds[seen.parent.key.kind]
        try:
            parent = await self._without_status(kind, seen.parent) if decision.replace else seen.parent
            await self._put_status(kind, parent, status, "written")
        except ApiError as error:
            if error.passing:
                # It may have been written all the same; the next pass has no news then, and tells these.
                self._tell_later(seen.parent.key, decision)
            if error.status == CONFLICT:
                await self._look(kind, seen.parent.key)
            if error.status not in UNWRITABLE or kind.unwritable is None:
                raise
            word = kind.custom.word
            words = {word: str(seen.parent.key), "error": error.message}
            log.error(f"a status was refused; the {word} ends with the words of the refusal", extra=words)
            decision = kind.unwritable(seen, decision, error.message, now)
            if decision.status is not None:
                await self._put_status(kind, seen.parent, decision.status, "refused")
        return decision

    async def _without_status(self, kind: Kind, parent: Parent) -> Parent:
        """Take all of a status away that another hand had a part in; the object as it then is."""
        key = parent.key
        raw = await self._api.clear_status(kind.resource, key.namespace, key.name, parent.version)
        return kind.read(raw)

    async def _look(self, kind: Kind, key: Key) -> None:
        """See an object as it is now: its watch is behind, or silent, and every further try would be refused too."""
        self._feed.take(kind.resource, await self._api.read(kind.resource, key.namespace, key.name))

    async def _put_status(self, kind: Kind, parent: Parent, status: Model, result: str) -> None:
        key = parent.key
        wire = to_wire(status)
        self._feed.sends(parent, wire)
        raw = await self._api.apply_status(kind.resource, key.namespace, key.name, parent.version, wire)
        self._metrics.statuses.labels(result).inc()
        self._take(parent, kind.resource, raw)

    async def _delete_all(self, seen: Seen, decision: Decision[Model]) -> None:
        try:
            for ref in decision.delete:
                await self._delete(seen, ref)
        except ApiError:
            # The status is written: to the next pass it is no news.
            self._tell_later(seen.parent.key, decision)
            raise

    def _tell_later(self, key: Key, decision: Decision[Model]) -> None:
        self._untold[key] = tuple(dict.fromkeys((*self._untold.get(key, ()), *decision.events)))

    async def _delete(self, seen: Seen, ref: Ref) -> None:
        uid = seen.uid_of(ref)
        if uid is None:
            return
        try:
            await self._api.delete(ref.resource, seen.parent.key.namespace, ref.name, uid)
        except ApiError as error:
            if error.status not in (404, CONFLICT):
                raise

    async def _retire(self, parent: Parent, why: Why) -> None:
        """Delete the object itself, unless it was changed since it was looked at."""
        key, kind = parent.key, self._kinds[parent.key.kind]
        try:
            await self._api.delete(kind.resource, key.namespace, key.name, parent.uid, parent.version)
        except ApiError as error:
            if error.status != 404:
                raise
            return
        log.info("deleted, for it is done", extra={kind.custom.word: str(key), "why": why})
        self._metrics.retired.labels(why).inc()

    def _take(self, parent: Parent, resource: Resource, raw: Raw) -> None:
        """See at once what was written."""
        self._feed.wrote(parent.key, resource, raw)


def _trace(parent: Parent, decision: Decision[Model]) -> str:
    """The trace of the run that a decision is about; nothing where it has nothing to tell, or is about none."""
    if parent.trace or not decision.events:
        return parent.trace
    run = getattr(decision.status, "run", None) or json.loads(unpacked(parent.status)).get("run")
    return trace_of(parent.uid, run) if run else ""
