"""Keys to work on: each at most once in line, never two passes of one at a time, failures retried ever more slowly.

A key that comes again while it waits is one key; one that comes while it is worked on is worked on once more. So a
storm of events costs as many passes as there is time for, not as many as there are events.
"""

from __future__ import annotations

import asyncio
import heapq
import logging
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

from assay_operator.process.signals import pause

K = TypeVar("K", bound=Hashable)

log = logging.getLogger(__name__)


class WorkQueue(Generic[K]):
    """A queue of keys that are due now or later.

    Args:
        clock: seconds, monotonic.
        random: a number in [0, 1), for jitter.
        spacing: least seconds between the starts of two passes of one key.
        first: seconds before the first retry; they double with every failure.
        most: most seconds before a retry.
    """

    def __init__(
        self,
        clock: Callable[[], float],
        random: Callable[[], float],
        *,
        spacing: float = 0.2,
        first: float = 0.5,
        most: float = 60.0,
    ) -> None:
        self._clock, self._random = clock, random
        self._spacing, self._first, self._most = spacing, first, most
        self._due: dict[K, float] = {}
        self._heap: list[tuple[float, int, K]] = []
        self._count = 0
        self._failures: dict[K, int] = {}
        self._started: dict[K, float] = {}
        self._busy: dict[K, float] = {}
        self._wake = asyncio.Event()
        self._closed = False

    def add(self, key: K, delay: float = 0.0) -> None:
        """Have the key worked on after `delay` seconds, or earlier where it is due earlier already."""
        now = self._clock()
        due = max(now + delay, self._started.get(key, now - self._spacing) + self._spacing)
        if due >= self._due.get(key, due + 1):
            return
        self._due[key] = due
        self._count += 1
        heapq.heappush(self._heap, (due, self._count, key))
        self._wake.set()

    def retry(self, key: K) -> float:
        """Have the key worked on again after a failure; the seconds until then."""
        failures = self._failures.get(key, 0)
        self._failures[key] = failures + 1
        delay = min(self._first * 2.0 ** min(failures, 30), self._most) * (0.5 + self._random())
        self.add(key, delay)
        return delay

    def succeeded(self, key: K) -> None:
        """Forget the key's failures."""
        self._failures.pop(key, None)

    def forget(self, key: K) -> None:
        """Forget the key; it may come again."""
        for store in (self._due, self._failures, self._started):
            store.pop(key, None)

    @property
    def depth(self) -> int:
        """Keys that are due and wait."""
        now = self._clock()
        return sum(due <= now for due in self._due.values())

    @property
    def idle(self) -> bool:
        """Whether nothing is due and nothing is being worked on."""
        return not self._busy and (not self._heap or self._heap[0][0] > self._clock())

    @property
    def stuck_seconds(self) -> float:
        """For how long the oldest key has been due or worked on."""
        now = self._clock()
        ages = [now - started for started in self._busy.values()]
        ages += [now - due for due, _, key in self._heap[:1] if self._due.get(key) == due]
        return max([0.0, *ages])

    async def close(self, seconds: float) -> None:
        """Begin nothing more, and wait for what is being worked on, for a limited time."""
        self._closed = True
        edge = self._clock() + seconds
        while self._busy and self._clock() < edge:
            await asyncio.sleep(0.01)

    async def work(self, process: Callable[[K], Awaitable[None]]) -> None:
        """Work on keys as they come due, for ever; `process` handles its own failures. Many may run at once."""
        while True:
            key = await self._next()
            if self._closed:
                await asyncio.Event().wait()
            self._busy[key] = self._started[key] = self._clock()
            try:
                await process(key)
            except Exception:
                log.exception("a pass failed in a way it should not; it is retried", extra={"key": str(key)})
                self.retry(key)
            finally:
                del self._busy[key]
                self._wake.set()
            # A pass with nothing to write waits for nothing: ten thousand of them would hold up Lease and probes.
            await asyncio.sleep(0)

    async def _next(self) -> K:
        while True:
            self._wake.clear()
            wait = None
            held: list[tuple[float, int, K]] = []
            found: K | None = None
            while self._heap:
                due, count, key = self._heap[0]
                if self._due.get(key) != due:
                    heapq.heappop(self._heap)
                    continue
                if due > self._clock():
                    wait = due - self._clock()
                    break
                heapq.heappop(self._heap)
                if key in self._busy:
                    held.append((due, count, key))
                    continue
                del self._due[key]
                found = key
                break
            for entry in held:
                heapq.heappush(self._heap, entry)
            if found is not None:
                self._wake.set()
                return found
            await pause(wait, self._wake)
