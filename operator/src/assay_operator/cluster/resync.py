"""Listing everything anew: once before the first pass, then now and then, to heal what a watch has missed.

A watch that relists after a gap does not tell of what was deleted meanwhile, and a watch can fall silent while its
connection lives. So what a listing shows is compared with what the watch has told; the watch gets a few seconds to
catch up, and what it has not told by then is taken from the listing and counted.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator

from assay_operator.cluster.api import Api, ApiError
from assay_operator.cluster.cache import Cache, newer
from assay_operator.cluster.feed import Feed
from assay_operator.objects.kind import Item, Kinds

log = logging.getLogger(__name__)

CATCH_UP_SECONDS = 5.0


class Resync:
    """Lists everything and heals the cache.

    Args:
        api: the API server.
        kinds: what there is.
        cache: what the watches have told.
        feed: takes what they have not.
        namespaces: those that are watched; empty: all.
    """

    def __init__(self, api: Api, kinds: Kinds, cache: Cache, feed: Feed, namespaces: tuple[str, ...]) -> None:
        self._api, self._kinds, self._cache, self._feed = api, kinds, cache, feed
        self._scopes: tuple[str | None, ...] = namespaces or (None,)

    async def fill(self) -> None:
        """List everything into the cache, before there is any watch."""
        async for item in self._listed():
            self._feed.put(item)

    async def heal(self, catch_up: float = CATCH_UP_SECONDS) -> int:
        """List everything, and repair what the watch has not told `catch_up` seconds later; how much that was."""
        before = {_identity(item): item for item in self._cache.items()}
        missed: list[Item] = []
        seen: set[tuple[str, str]] = set()
        async for item in self._listed():
            seen.add(_identity(item))
            if newer(item.value, self._cache.known(item)):
                missed.append(item)
        lost = [item for identity, item in before.items() if identity not in seen]
        if not (missed or lost):
            return 0
        await asyncio.sleep(catch_up)
        healed = [await self._fetch(item) for item in missed if newer(item.value, self._cache.known(item))]
        return sum(healed) + sum(self._feed.drop(item) for item in lost)

    async def _fetch(self, item: Item) -> bool:
        """Take an object as it stands now, for it may have gone since it was listed; whether it said anything new."""
        try:
            raw = await self._api.read(item.resource, item.group.namespace, item.value.name)
        except ApiError as error:
            if error.status != 404:
                raise
            return False
        return self._feed.take(item.resource, raw)

    async def _listed(self) -> AsyncIterator[Item]:
        for scope in self._scopes:
            for resource, label in self._kinds.watched.items():
                query = {"labelSelector": label} if label else {}
                async for page in self._api.pages(resource, scope, query):
                    for raw in page["items"]:
                        if item := self._kinds.item(resource, raw):
                            yield item


def _identity(item: Item) -> tuple[str, str]:
    return item.group.namespace, item.value.uid
