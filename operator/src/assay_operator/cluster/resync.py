"""Listing everything anew: once before the first pass, then now and then, to heal what a watch has missed.

A watch that relists after a gap does not tell of what was deleted meanwhile, and a watch can fall silent while its
connection lives. So what a listing shows is compared with what the watch has told; the watch gets a few seconds to
catch up, and what it has not told by then is taken from the listing and counted.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from assay_api.names import LABEL_MANAGED
from assay_operator.cluster.api import AUDITS, JOBS, PODS, Api, ApiError, Resource
from assay_operator.cluster.cache import Cache, newer
from assay_operator.cluster.observed import Audit, Job, Key, Pod
from assay_operator.cluster.queue import WorkQueue

log = logging.getLogger(__name__)

SELECTORS: dict[Resource, dict[str, str]] = {
    AUDITS: {},
    JOBS: {"labelSelector": LABEL_MANAGED},
    PODS: {"labelSelector": LABEL_MANAGED},
}
CATCH_UP_SECONDS = 5.0
Object = Audit | Job | Pod


class Feed:
    """The one way objects come into the cache, from a watch or from a listing."""

    def __init__(self, cache: Cache, queue: WorkQueue[Key]) -> None:
        self._cache, self._queue = cache, queue

    def take(self, resource: Resource, raw: dict[str, Any]) -> bool:
        """Take an object as it stands; whether it said anything new."""
        return self.put(raw["metadata"]["namespace"], read(resource, raw))

    def lose(self, resource: Resource, raw: dict[str, Any]) -> bool:
        """Take the last state of an object that is gone; whether it was known."""
        namespace, item = raw["metadata"]["namespace"], read(resource, raw)
        if isinstance(item, Pod):
            self._cache.put_pod(namespace, item)
        return self.drop(namespace, item)

    def put(self, namespace: str, item: Object) -> bool:
        """Take an object; have its audit looked at where it said anything new."""
        if isinstance(item, Audit):
            new = self._cache.put_audit(item)
        elif isinstance(item, Job):
            new = self._cache.jobs.put(namespace, item)
        else:
            new = self._cache.put_pod(namespace, item)
        if new:
            self._look(namespace, item)
        return new

    def drop(self, namespace: str, item: Object) -> bool:
        """Forget an object; have its audit looked at where it was known."""
        if isinstance(item, Audit):
            if known := self._cache.drop_audit(item):
                self._queue.forget(item.key)
            return known
        children: Any = self._cache.jobs if isinstance(item, Job) else self._cache.pods
        if known := children.drop(namespace, item):
            self._look(namespace, item)
        return bool(known)

    def _look(self, namespace: str, item: Object) -> None:
        key = item.key if isinstance(item, Audit) else self._cache.key_of(namespace, item)
        if key:
            self._queue.add(key)


def read(resource: Resource, raw: dict[str, Any]) -> Object:
    """An object of ours from its raw form."""
    return Audit.of(raw) if resource is AUDITS else Job.of(raw) if resource is JOBS else Pod.of(raw)


class Resync:
    """Lists everything and heals the cache.

    Args:
        api: the API server.
        cache: what the watches have told.
        feed: takes what they have not.
        namespaces: those that are watched; empty: all.
    """

    def __init__(self, api: Api, cache: Cache, feed: Feed, namespaces: tuple[str, ...]) -> None:
        self._api, self._cache, self._feed = api, cache, feed
        self._scopes: tuple[str | None, ...] = namespaces or (None,)

    async def fill(self) -> None:
        """List everything into the cache, before there is any watch."""
        await self._list(lambda _, namespace, item: self._feed.put(namespace, item))

    async def heal(self, catch_up: float = CATCH_UP_SECONDS) -> int:
        """List everything, and repair what the watch has not told `catch_up` seconds later; how much that was."""
        missed: list[tuple[Resource, str, Object]] = []

        def compare(resource: Resource, namespace: str, item: Object) -> None:
            if newer(item, self._known(namespace, item)):
                missed.append((resource, namespace, item))

        before = {(namespace, item.uid): (namespace, item) for namespace, item in self._all()}
        seen = await self._list(compare)
        lost = [pair for uid, pair in before.items() if uid not in seen]
        if not (missed or lost):
            return 0
        await asyncio.sleep(catch_up)
        healed = [await self._fetch(*entry) for entry in missed if newer(entry[2], self._known(*entry[1:]))]
        return sum(healed) + sum(self._feed.drop(namespace, item) for namespace, item in lost)

    async def _fetch(self, resource: Resource, namespace: str, item: Object) -> bool:
        """Take an object as it stands now, for it may have gone since it was listed; whether it said anything new."""
        try:
            raw = await self._api.read(resource, namespace, item.name)
        except ApiError as error:
            if error.status != 404:
                raise
            return False
        return self._feed.take(resource, raw)

    async def _list(self, take: Callable[[Resource, str, Object], object]) -> set[tuple[str, str]]:
        seen: set[tuple[str, str]] = set()
        for scope in self._scopes:
            for resource, query in SELECTORS.items():
                async for page in self._api.pages(resource, scope, query):
                    for raw in page["items"]:
                        namespace = raw["metadata"]["namespace"]
                        seen.add((namespace, raw["metadata"]["uid"]))
                        take(resource, namespace, read(resource, raw))
        return seen

    def _known(self, namespace: str, item: Object) -> Object | None:
        if isinstance(item, Audit):
            return self._cache.audits.get(item.key)
        children: Any = self._cache.jobs if isinstance(item, Job) else self._cache.pods
        known: Object | None = next((c for c in children.of((namespace, item.audit)) if c.name == item.name), None)
        return known

    def _all(self) -> list[tuple[str, Object]]:
        audits: list[tuple[str, Object]] = [(audit.namespace, audit) for audit in self._cache.audits.values()]
        return [*audits, *self._cache.jobs, *self._cache.pods]
