"""What only an event tells: a missing ConfigMap, a quota, a ServiceAccount that is not there.

A Pod that cannot be mounted or a Job that may have no Pod looks merely slow from its status. After a while of silence
its warnings are asked for. One listing of a namespace's warnings answers for all that wait there, and no pass waits for
it: whoever is silent is written down, and looked at again once something is known.

A quota that is used up holds for everybody in its namespace, and the Job controller needs minutes to say so of hundreds
of Jobs: what it says of one counts for all that have no Pod.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from itertools import chain
from typing import Any

from assay_operator.cluster.api import Api, ApiError
from assay_operator.objects.keys import Key
from assay_operator.objects.resources import EVENTS
from assay_operator.objects.seen import OF_ALL
from assay_operator.process.signals import pause

log = logging.getLogger(__name__)

EVERY_SECONDS = 10.0
QUOTA = "exceeded quota"
# Asking makes the API server look through every event of the namespace: the longer that takes, the rarer it is done.
SHARE = 20.0
# They tell what the Pod's status tells better, or nothing.
OTHERWISE_KNOWN = frozenset({"FailedScheduling", "BackOff", "Failed", "Unhealthy", "NodeNotReady"})


class Hints:
    """Asks for the warnings about objects that do not come up, a namespace at a time.

    Args:
        api: the API server.
        clock: seconds, monotonic.
        look: has an object of ours looked at, of which something new is known.
        there: whether an object of ours is still there.
    """

    def __init__(
        self, api: Api, clock: Callable[[], float], look: Callable[[Key], None], there: Callable[[Key], bool]
    ) -> None:
        self._api, self._clock, self._look, self._there = api, clock, look, there
        self._silent: dict[str, dict[Key, tuple[str, ...]]] = {}
        self._known: dict[str, dict[str, str]] = {}
        self._due: dict[str, float] = {}
        self._wake = asyncio.Event()

    def of(self, key: Key, uids: tuple[str, ...]) -> Mapping[str, str]:
        """What is known of the silent children of an object of ours, by their UIDs; more is asked for.

        Under `OF_ALL` stands what holds for every Job of the namespace that has no Pod.
        """
        if not uids:
            self.forget(key)
            return {}
        self._silent.setdefault(key.namespace, {})[key] = uids
        self._wake.set()
        known = self._known.get(key.namespace, {})
        return {uid: known[uid] for uid in (*uids, OF_ALL) if uid in known}

    def forget(self, key: Key) -> None:
        """Nothing of this object's is silent any more, or it is gone."""
        waiting = self._silent.get(key.namespace)
        if waiting and waiting.pop(key, None) and not waiting:
            for kept in (self._silent, self._known):
                kept.pop(key.namespace, None)

    async def work(self) -> None:
        """Ask, for ever: of each namespace where something is silent, every now and then."""
        while True:
            self._wake.clear()
            now = self._clock()
            for namespace in [name for name in self._silent if self._due.get(name, now) <= now]:
                # Whoever waited there may have gone while another namespace was asked.
                for key in [key for key in self._silent.get(namespace, ()) if not self._there(key)]:
                    self.forget(key)
                if namespace in self._silent:
                    await self.ask(namespace)
            waits = [self._due.get(name, now) - self._clock() for name in self._silent]
            await pause(max(min(waits), 0.0) if waits else None, self._wake)

    async def ask(self, namespace: str) -> None:
        """List a namespace's warnings, and have those looked at of whom they say something new."""
        began = self._clock()
        try:
            found = await self._warnings(namespace)
        except ApiError as error:
            log.info("warnings about silent objects could not be read", extra={"error": error.message})
            found = self._known.get(namespace, {})
        waiting = self._silent.get(namespace, {})
        before, of_interest = self._known.get(namespace, {}), {OF_ALL, *chain.from_iterable(waiting.values())}
        known = {uid: words for uid, words in found.items() if uid in of_interest}
        if waiting:
            self._known[namespace] = known
        now = self._clock()
        self._due = {name: due for name, due in self._due.items() if name in self._silent}
        self._due[namespace] = now + max(EVERY_SECONDS, SHARE * (now - began))
        for key, uids in list(waiting.items()):
            if any(known.get(uid) != before.get(uid) for uid in (*uids, OF_ALL)):
                self._look(key)

    async def _warnings(self, namespace: str) -> dict[str, str]:
        """The newest telling warning about each object, by its UID."""
        newest: dict[str, tuple[str, str]] = {}
        async for page in self._api.pages(EVENTS, namespace, {"fieldSelector": "type=Warning"}):
            for event in page["items"]:
                if event.get("reason") in OTHERWISE_KNOWN or not event.get("message"):
                    continue
                about, when, words = event.get("involvedObject") or {}, _when(event), _words(event)
                of_all = about.get("kind") == "Job" and QUOTA in words
                for uid in (about.get("uid") or "unknown", *([OF_ALL] if of_all else ())):
                    if uid not in newest or when >= newest[uid][0]:
                        newest[uid] = (when, words)
        return {uid: words for uid, (_, words) in newest.items()}


def _words(event: Mapping[str, Any]) -> str:
    """Reason and message; those of a quota without the Pod that was refused, for they hold for others too."""
    message: str = event["message"]
    return f"{event['reason']}: {message[message.index(QUOTA) :] if QUOTA in message else message}"


def _when(event: Mapping[str, Any]) -> str:
    """When it was last seen; those who write events put that in one of several places."""
    series = event.get("series") or {}
    return str(event.get("lastTimestamp") or series.get("lastObservedTime") or event.get("eventTime") or "")
