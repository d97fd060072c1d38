"""Events are posted in the background, after the work: they are told to people, nothing waits for them.

While audits wait to be worked on, events stand back for a moment, so that a thousand audits created at once get their
Jobs first and their stories after.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from datetime import datetime

from assay_operator.cluster.api import Api, ApiError, Fenced
from assay_operator.objects.events import Event, event_manifest
from assay_operator.objects.kind import Kinds
from assay_operator.objects.resources import EVENTS
from assay_operator.objects.seen import Parent
from assay_operator.process.metrics import Metrics

log = logging.getLogger(__name__)

MOST = 20_000
PAUSE_SECONDS = 0.2
PATIENCE_SECONDS = 5.0
AT_ONCE = 16
# Some minutes of an API server that is away or refuses all; one event must not hold up the rest for ever.
TRIES = 60


class Poster:
    """Posts events.

    Args:
        api: the API server.
        kinds: the words for what events are about.
        metrics: counts what became of them.
        idle: whether there is nothing better to do.
    """

    def __init__(self, api: Api, kinds: Kinds, metrics: Metrics, idle: Callable[[], bool]) -> None:
        self._api, self._kinds, self._metrics, self._idle = api, kinds, metrics, idle
        self._waiting: deque[tuple[Parent, Event, datetime, int]] = deque()
        self._wake = asyncio.Event()

    def post(self, about: Parent, events: tuple[Event, ...], now: datetime) -> None:
        """Take events; where too many wait, the newest are dropped."""
        word = self._kinds[about.key.kind].custom.word
        for event in events:
            of = {"trace": event.trace} if event.trace else {}
            log.info(event.message, extra={word: str(about.key), "reason": str(event.reason), **of})
            if len(self._waiting) >= MOST:
                self._metrics.events.labels("dropped").inc()
                continue
            self._waiting.append((about, event, now, 0))
        self._wake.set()

    async def work(self) -> None:
        """Post events as they come, for ever."""
        while True:
            self._wake.clear()
            while self._waiting:
                await self._stand_back()
                if pause := await self._post_next():
                    await asyncio.sleep(pause)
            await self._wake.wait()

    async def flush(self, seconds: float) -> None:
        """Post what waits, for a limited time, many at once."""
        try:
            async with asyncio.timeout(seconds):
                await asyncio.gather(*(self._post_all() for _ in range(AT_ONCE)))
        except TimeoutError:
            self._metrics.events.labels("dropped").inc(len(self._waiting))

    async def _post_all(self) -> None:
        while self._waiting and not await self._post_next():
            pass

    async def _stand_back(self) -> None:
        waited = 0.0
        while not self._idle() and waited < PATIENCE_SECONDS:
            await asyncio.sleep(PAUSE_SECONDS)
            waited += PAUSE_SECONDS

    async def _post_next(self) -> float:
        """Post the event that has waited longest; seconds until it is tried again, 0 where it is settled."""
        if not self._waiting:
            return 0.0
        about, event, now, tries = self._waiting.popleft()
        try:
            await self._api.create(EVENTS, about.key.namespace, event_manifest(about, event, now))
            self._metrics.events.labels("posted").inc()
        except Fenced:
            # The Lease could not be renewed for now, so it waits; where it is lost, the process ends.
            self._waiting.appendleft((about, event, now, tries))
            return PAUSE_SECONDS
        except ApiError as error:
            if error.passing and tries < TRIES:
                self._waiting.appendleft((about, event, now, tries + 1))
                return min(PAUSE_SECONDS * 2.0**tries, PATIENCE_SECONDS)
            known = error.status == 409
            self._metrics.events.labels("known" if known else "failed").inc()
            if not known:
                log.debug("an event could not be posted", extra={"error": error.message})
        return 0.0
