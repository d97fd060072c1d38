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
from assay_operator.cluster.cache import Cache
from assay_operator.cluster.feed import Feed
from assay_operator.objects.keys import Group
from assay_operator.objects.kind import Kinds, Place
from assay_operator.objects.raw import Raw
from assay_operator.objects.resources import Resource

log = logging.getLogger(__name__)

CATCH_UP_SECONDS = 5.0
Listed = tuple[Resource, str | None]
"""A kind of resource, and the namespace that it was listed in; None: all."""


class Resync:
    """Lists everything and heals the cache.

    Args:
        api: the API server.
        kinds: what there is.
        cache: what the watches have told.
        feed: takes what they have not.
        namespaces: those that are watched; empty: all.

    Attributes:
        versions: as of which version what was listed first, by its kind and namespace (None: all): whoever watches from
            there misses nothing, and need not list it again.
    """

    def __init__(self, api: Api, kinds: Kinds, cache: Cache, feed: Feed, namespaces: tuple[str, ...]) -> None:
        self._api, self._kinds, self._cache, self._feed = api, kinds, cache, feed
        self._scopes: tuple[str | None, ...] = namespaces or (None,)
        self.versions: dict[Listed, str] = {}

    async def fill(self) -> None:
        """List everything into the cache, before there is any watch."""
        async for resource, raw in self._listed():
            self._feed.fill(resource, raw)
        self._feed.filled()

    async def heal(self, catch_up: float = CATCH_UP_SECONDS) -> int:
        """List everything, and repair what the watch has not told `catch_up` seconds later; how much that was.

        Only names and versions are asked for: nearly always they say that nothing was missed.
        """
        before = list(self._cache.items())
        missed: list[tuple[Place, str]] = []
        # An object may be one of ours and the child of another.
        seen: set[tuple[Group, str]] = set()
        async for resource, raw in self._listed(metadata_only=True):
            meta = raw["metadata"]
            for place in self._kinds.places(resource, meta):
                seen.add((place.group, meta["uid"]))
                if not self._cache.told(place, meta["resourceVersion"]):
                    missed.append((place, meta["resourceVersion"]))
        lost = [item for item in before if (item.group, item.value.uid) not in seen]
        if not (missed or lost):
            return 0
        await asyncio.sleep(catch_up)
        healed = [await self._fetch(place) for place, version in missed if not self._cache.told(place, version)]
        return sum(healed) + sum(self._feed.drop(item) for item in lost)

    async def _fetch(self, place: Place) -> bool:
        """Take an object as it stands now, for it may have gone since it was listed; whether it said anything new."""
        try:
            raw = await self._api.read(place.resource, place.group.namespace, place.name)
        except ApiError as error:
            if error.status != 404:
                raise
            return False
        return self._feed.take(place.resource, raw)

    async def _listed(self, *, metadata_only: bool = False) -> AsyncIterator[tuple[Resource, Raw]]:
        for scope in self._scopes:
            for resource, label in self._kinds.watched.items():
                query = {"labelSelector": label} if label else {}
                async for page in self._api.pages(resource, scope, query, metadata_only=metadata_only):
                    if not metadata_only:
                        # That of an earlier try serves as well: what has happened since is told again.
                        self.versions.setdefault((resource, scope), page["metadata"]["resourceVersion"])
                    for raw in page["items"] or ():
                        yield resource, raw
