"""What only an event tells: a missing ConfigMap, a quota, a ServiceAccount that is not there.

A Pod that cannot be mounted or a Job that may have no Pod looks merely slow from its status. After a while of silence
its warnings are asked for, rarely, and only of those that do not come up.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

from assay_operator.cluster.api import Api, ApiError
from assay_operator.objects.resources import EVENTS

log = logging.getLogger(__name__)

EVERY_SECONDS = 60.0
# Asking makes the API server look through every event of the namespace: a thousand slow Pods must not do that at once.
BETWEEN_SECONDS = 1.0
# They tell what the Pod's status tells better, or nothing.
OTHERWISE_KNOWN = frozenset({"FailedScheduling", "BackOff", "Failed", "Unhealthy", "NodeNotReady"})


class Hints:
    """Asks for the warnings about one object at a time, each object rarely."""

    def __init__(self, api: Api, clock: Callable[[], float]) -> None:
        self._api, self._clock = api, clock
        self._asked: dict[str, float] = {}
        self._free = clock()
        self._forbidden = False

    async def of(self, namespace: str, known: Mapping[str, str], uids: tuple[str, ...]) -> dict[str, str]:
        """The hints about the objects with these UIDs: those known, renewed where they are old."""
        hints = {uid: known[uid] for uid in uids if uid in known}
        now = self._clock()
        due = [uid for uid in uids if now - self._asked.get(uid, now - EVERY_SECONDS) >= EVERY_SECONDS]
        if due and now >= self._free and not self._forbidden:
            uid = min(due, key=lambda uid: self._asked.get(uid, 0.0))
            self._asked[uid], self._free = now, now + BETWEEN_SECONDS
            if hint := await self._ask(namespace, uid):
                hints[uid] = hint
        self._prune(now)
        return hints

    async def _ask(self, namespace: str, uid: str) -> str | None:
        query = {"fieldSelector": f"involvedObject.uid={uid},type=Warning"}
        try:
            found = [item async for page in self._api.pages(EVENTS, namespace, query) for item in page["items"]]
        except ApiError as error:
            self._forbidden = error.status == 403
            log.info("warnings about a silent object could not be read", extra={"error": error.message})
            return None
        telling = [event for event in found if event.get("reason") not in OTHERWISE_KNOWN and event.get("message")]
        if not telling:
            return None
        newest: dict[str, Any] = max(telling, key=lambda event: event.get("lastTimestamp") or "")
        return f"{newest['reason']}: {newest['message']}"

    def _prune(self, now: float) -> None:
        """Forget what was asked long ago."""
        if len(self._asked) > 1000:
            edge = now - 10 * EVERY_SECONDS
            self._asked = {uid: asked for uid, asked in self._asked.items() if asked > edge}
