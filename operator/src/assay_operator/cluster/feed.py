"""The one way objects come into the cache, from a watch or from a listing, and have their passes queued.

An API server may have written a status and never say so: a timeout, a connection that ended, a 500. So a status is
noted before it is sent, and whoever tells of it, it is the operator's own. As another hand's it would be put right:
taken away and written anew, with a later time; and whoever owns the object would go by what was there before.
"""

from __future__ import annotations

from collections import deque
from typing import Any, Final

from assay_operator.cluster.cache import Cache
from assay_operator.cluster.queue import WorkQueue
from assay_operator.objects.keys import Key
from assay_operator.objects.kind import Item, Kinds
from assay_operator.objects.raw import Raw
from assay_operator.objects.resources import Resource
from assay_operator.objects.seen import Parent

KEPT: Final = 8
"""Statuses noted of one object: each try is another one, by its times, and any of them may come to be written."""


class Feed:
    """Takes what is told.

    Args:
        kinds: what there is.
        cache: keeps it.
        queue: takes the keys of those that something new is known of.
    """

    def __init__(self, kinds: Kinds, cache: Cache, queue: WorkQueue[Key]) -> None:
        self._kinds, self._cache, self._queue = kinds, cache, queue
        self._sent: dict[Key, deque[tuple[str, Any]]] = {}

    def take(self, resource: Resource, raw: Raw) -> bool:
        """Take an object as it stands; whether it said anything new."""
        meta = raw["metadata"]
        # To read one costs more than all else, and at the start each comes twice: by a listing, then by its watch.
        news = [p for p in self._kinds.places(resource, meta) if not self._cache.told(p, meta["resourceVersion"])]
        # Its own place comes first: what it is to its owner goes by what is known of it there.
        return sum(self.put(self._cache.read(place, raw), own=self._ours(place.key, raw)) for place in news) > 0

    def fill(self, resource: Resource, raw: Raw) -> None:
        """Take an object before the first pass; what it belongs to is looked at when all is there."""
        for place in self._kinds.places(resource, raw["metadata"]):
            self._cache.put(self._cache.read(place, raw))

    def filled(self) -> None:
        """Have everything looked at: first what goes on, for what has ended can wait."""
        for ended in (False, True):
            for parent in self._cache.parents():
                if parent.complete is ended:
                    self._queue.add(parent.key)

    def sends(self, parent: Parent, status: Any) -> None:
        """Note a status, as JSON, that is about to be written."""
        noted = self._sent.setdefault(parent.key, deque(maxlen=KEPT))
        if (parent.uid, status) not in noted:
            noted.append((parent.uid, status))

    def _ours(self, key: Key | None, raw: Raw) -> bool:
        """Whether an object has a status that was sent; what was sent before that is no matter then."""
        if key is None or (raw["metadata"]["uid"], raw.get("status")) not in self._sent.get(key, ()):
            return False
        del self._sent[key]
        return True

    def wrote(self, parent: Key, resource: Resource, raw: Raw) -> None:
        """See at once what a pass has written; whomever else it is news to is looked at.

        Where the watch was faster than the answer, it could not tell whose hand that was.
        """
        for place in self._kinds.places(resource, raw["metadata"]):
            item = self._cache.read(place, raw)
            mine = place.group == parent.group
            if place.key == parent:
                self._sent.pop(parent, None)
            # What stands in the status of another of ours may be anybody's.
            if self._cache.put(item, own=mine or place.key is None) and not mine:
                self._look(item)

    def lose(self, resource: Resource, raw: Raw) -> bool:
        """Take the last state of an object that is gone; whether it was known."""
        return sum(map(self._lose, self._kinds.items(resource, raw))) > 0

    def _lose(self, item: Item) -> bool:
        if item.key is None and self._kinds.children[item.resource].note:
            self._cache.put(item)
        return self.drop(item)

    def put(self, item: Item, *, own: bool = False) -> bool:
        """Take an object; have what it belongs to looked at where it said anything new. `own`: its status is ours."""
        new = self._cache.put(item, own=own)
        if new:
            self._look(item)
        return new

    def drop(self, item: Item) -> bool:
        """Forget an object; have what it belonged to looked at where it was known."""
        known = self._cache.drop(item)
        if known and item.key:
            self._queue.forget(item.key)
            self._sent.pop(item.key, None)
        elif known:
            self._look(item)
        return known

    def _look(self, item: Item) -> None:
        if key := item.key or self._cache.key_of(item.group):
            self._queue.add(key)
