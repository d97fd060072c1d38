"""Keeping count of the tasks that run and of who waits, where only so many may run at once.

Jobs are counted as the cache sees them, and what a pass is about to create from the moment that it was decided, so that
two passes never take one place. An object of ours that no pass has looked at yet counts as wanting one task: after a
restart the oldest still comes first. Jobs in a queue of Kueue's are Kueue's to limit and count for nothing here.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Final

from assay_api.model import Model
from assay_api.names import Phase
from assay_operator.cluster.api import ApiError
from assay_operator.objects.children import Job
from assay_operator.objects.decision import Decision
from assay_operator.objects.keys import Key
from assay_operator.objects.kind import Item
from assay_operator.objects.line import Claim, Limits, Turn, shares
from assay_operator.objects.seen import Parent, Versioned

BETWEEN_SECONDS: Final = 0.1
AWAY_SECONDS: Final = 5.0


class Turns:
    """Says whose turn it is.

    Args:
        limits: how many tasks may run at once.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._jobs: dict[str, str] = {}
        self._busy: Counter[str] = Counter()
        self._claims: dict[Key, Claim] = {}
        self._changed = asyncio.Event()

    @property
    def waiting(self) -> int:
        """Tasks that would start if they might."""
        return sum(claim.wants for claim in self._claims.values())

    def saw(self, item: Item, before: Versioned | None, now: Versioned | None) -> None:
        """Take note of a change; None: it was not there before, or is gone."""
        if item.key:
            self._saw_parent(item.key, before, now)
        elif isinstance(job := now or before, Job):
            counts = now is not None and not (job.finished or job.suspended or job.queue)
            if counts and job.uid not in self._jobs:
                self._jobs[job.uid] = item.group.namespace
                self._busy[item.group.namespace] += 1
            elif not counts and (namespace := self._jobs.pop(job.uid, None)):
                self._free(namespace, 1)

    def turn(self, parent: Parent) -> Turn | None:
        """What it may start now; None: whatever it wants."""
        if not self._limits:
            return None
        key, namespace = parent.key, parent.key.namespace
        left, why = self._limits.left(self._busy, namespace), self._limits.words(self._busy, namespace)
        if not left:
            return Turn(0, why)
        known = self._claims.get(key) or Claim(key, 0, since=parent.since)
        everything = {**self._claims, key: replace(known, wants=left)}
        return Turn(shares(everything.values(), self._busy, self._limits).get(key, 0), why)

    @contextmanager
    def taken(self, parent: Parent, decision: Decision[Model]) -> Iterator[None]:
        """Keep places for what is decided while it is carried out, and remember what had to wait."""
        if not self._limits:
            yield
            return
        key = parent.key
        if decision.waits:
            self._claims[key] = Claim(key, decision.waits, decision.priority, parent.since)
        else:
            self.leave(key)
        self._busy[key.namespace] += decision.starts
        try:
            yield
        except ApiError:
            # The API server is away, or somebody was faster: to try at once would be to try for ever.
            asyncio.get_running_loop().call_later(AWAY_SECONDS, self._changed.set)
            self._give(key.namespace, decision.starts)
            raise
        except BaseException:
            self._free(key.namespace, decision.starts)
            raise
        self._free(key.namespace, decision.starts)

    def leave(self, key: Key) -> None:
        """It wants nothing more, or cannot be asked."""
        if self._claims.pop(key, None):
            self._changed.set()

    async def work(self, add: Callable[[Key], None]) -> None:
        """Have those looked at whose turn it has become, for ever."""
        while True:
            await self._changed.wait()
            await asyncio.sleep(BETWEEN_SECONDS)
            self._changed.clear()
            for key in shares(self._claims.values(), self._busy, self._limits):
                add(key)

    def _saw_parent(self, key: Key, before: Versioned | None, now: Versioned | None) -> None:
        parent: Parent | None = now  # type: ignore[assignment]
        if parent is None or parent.complete or parent.phase == Phase.SUSPENDED:
            self.leave(key)
        elif before is None:
            self._claims[key] = Claim(key, 1, since=parent.since)

    def _free(self, namespace: str, places: int) -> None:
        """Give places back, and have those looked at who wait for them."""
        self._give(namespace, places)
        if places:
            self._changed.set()

    def _give(self, namespace: str, places: int) -> None:
        self._busy[namespace] -= places
        if not self._busy[namespace]:
            del self._busy[namespace]
