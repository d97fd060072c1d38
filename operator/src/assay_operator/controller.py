"""What the leader does: watch, list, reconcile, post, ask, until it is told to stop."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable, Coroutine
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from assay_operator.api import Api, ApiError
from assay_operator.apply import Applier, JobRefused
from assay_operator.cache import Cache
from assay_operator.handlers import watch
from assay_operator.health import Health
from assay_operator.hints import Hints
from assay_operator.metrics import Metrics
from assay_operator.observed import Key, Observed
from assay_operator.poster import Poster
from assay_operator.progress import Poller
from assay_operator.queue import WorkQueue
from assay_operator.reconcile import reconcile
from assay_operator.resync import Feed, Resync
from assay_operator.settings import Settings
from assay_operator.troubles import silent

log = logging.getLogger(__name__)

DRAIN_SECONDS = 5.0
LAG_SECONDS = 0.5


class Controller:
    """Everything that runs in the leader.

    Args:
        api: the API server.
        configuration: the official client's, for the watches.
        settings: of this process.
        metrics: told of everything.
        health: told how it goes.
    """

    def __init__(self, api: Api, configuration: Any, settings: Settings, metrics: Metrics, health: Health) -> None:
        self._configuration, self._settings = configuration, settings
        self._metrics, self._health = metrics, health
        self.cache = Cache()
        self.queue: WorkQueue[Key] = WorkQueue(time.monotonic, random.random)
        self._poster = Poster(api, metrics, lambda: self.queue.idle)
        self._applier = Applier(api, self.cache, metrics, self._poster.post)
        self._hints = Hints(api, time.monotonic)
        self._feed = Feed(self.cache, self.queue)
        self._resync = Resync(api, self.cache, self._feed, settings.namespaces)
        self._poller = Poller(self.cache, self.queue, settings.progress_seconds)

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop` is set or a signal comes, then finish what is begun."""
        self._metrics.watch(lambda: self.cache.audits.values(), lambda: self.queue.depth)
        self._health.stuck = lambda: self.queue.stuck_seconds
        await self._fill(stop)
        jobs: list[Callable[[], Coroutine[Any, Any, None]]] = [
            self._poster.work,
            self._poller.work,
            self._heal,
            *[lambda: self.queue.work(self._process)] * self._settings.workers,
        ]
        # They start before kopf does, for kopf ends every task that began after it.
        tasks = [asyncio.create_task(job(), name=f"controller-{index}") for index, job in enumerate(jobs)]
        for task in tasks:
            # None of them ever ends by itself: if one does, this process is no use any more.
            task.add_done_callback(lambda _: stop.set())
        try:
            await watch(self._settings, self._configuration, self._feed, stop)
            broken = [task for task in tasks if task.done()]
            await self._drain()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        for task in broken:
            task.result()
        await self._poster.flush(DRAIN_SECONDS)

    async def _fill(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            try:
                await self._resync.fill()
                break
            except ApiError as error:
                log.warning("listing what there is failed; trying again", extra={"error": error.message})
                await asyncio.sleep(1)
        self._health.resynced = time.monotonic()
        self._metrics.got_on()

    async def _drain(self) -> None:
        """Let the passes that are due come to their end."""
        edge = time.monotonic() + DRAIN_SECONDS
        while not self.queue.idle and time.monotonic() < edge:
            await asyncio.sleep(0.05)

    async def _heal(self) -> None:
        while True:
            await asyncio.sleep(self._settings.resync_seconds)
            try:
                healed = await self._resync.heal()
            except ApiError as error:
                log.warning("listing everything anew failed", extra={"error": error.message})
                continue
            self._health.resynced = time.monotonic()
            self._health.deaf = self._health.deaf + 1 if healed else 0
            self._metrics.healed.inc(healed)
            self._metrics.got_on()
            if healed:
                log.warning("a listing brought what the watch had missed", extra={"objects": healed})
            for audit in self.cache.audits.values():
                if not audit.complete:
                    self.queue.add(audit.key)

    async def _process(self, key: Key) -> None:
        observed = self.cache.observed(key)
        if observed is None:
            self.queue.forget(key)
            return
        began = time.monotonic()
        try:
            await self._pass(key, observed)
        except JobRefused as refusal:
            self._failed(key, "refused", str(refusal))
            if self.cache.refused.get(key) != dict(observed.refused):
                self.queue.add(key)
        except ApiError as error:
            if error.status == 404 and not await self._there(key):
                return
            self._failed(key, "conflict" if error.status == 409 else "error", error.message)
        except Exception:
            # Ours: the queue tells it with its traceback and has the audit tried again.
            self._metrics.reconciles.labels("exception").inc()
            raise
        else:
            self._metrics.reconciles.labels("ok").inc()
            self.queue.succeeded(key)
        self._metrics.seconds.observe(time.monotonic() - began)
        self._metrics.got_on()

    async def _pass(self, key: Key, observed: Observed) -> None:
        now = datetime.now(UTC)
        observed = await self._with_hints(key, observed, now)
        decision = reconcile(observed, now, self._settings)
        if decision.requeue_after is not None:
            # Before anything is tried: whatever fails is tried again, and then perhaps too late.
            self.queue.add(key, decision.requeue_after)
        await self._applier.apply(observed, decision, now)
        if observed.refused and not self.cache.refused.get(key):
            self.queue.add(key)

    async def _with_hints(self, key: Key, observed: Observed, now: datetime) -> Observed:
        uids = () if observed.audit.complete else silent(observed, now)
        if not uids and not observed.hints:
            return observed
        hints = await self._hints.of(observed.audit, dict(observed.hints), uids)
        self.cache.hints[key] = hints
        return replace(observed, hints=hints)

    async def _there(self, key: Key) -> bool:
        """Whether an audit that gave 404 is still known; its namespace or itself may be going."""
        await asyncio.sleep(0.2)
        return key in self.cache.audits

    def _failed(self, key: Key, result: str, message: str) -> None:
        self._metrics.reconciles.labels(result).inc()
        seconds = self.queue.retry(key)
        # Someone changed the audit meanwhile: nothing is wrong, the next pass sees it.
        level = logging.DEBUG if result == "conflict" else logging.WARNING
        log.log(
            level,
            "a pass failed; trying again",
            extra={"audit": "/".join(key), "seconds": round(seconds, 1), "error": message},
        )


async def measure_lag(metrics: Metrics) -> None:
    """Tell how late the event loop is, for ever."""
    while True:
        due = time.monotonic() + LAG_SECONDS
        await asyncio.sleep(LAG_SECONDS)
        metrics.lag.set(max(0.0, time.monotonic() - due))
