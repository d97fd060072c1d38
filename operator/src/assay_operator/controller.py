"""What the leader does: watch, list, reconcile, post, ask, until it is told to stop."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

from assay_api.names import KIND, SCREENING_KIND, SWEEP_KIND
from assay_operator.apply import Applier, ChildRefused
from assay_operator.cluster.api import Api, ApiError, Fenced
from assay_operator.cluster.cache import Cache
from assay_operator.cluster.feed import Feed
from assay_operator.cluster.handlers import watch
from assay_operator.cluster.held import Held
from assay_operator.cluster.hints import Hints
from assay_operator.cluster.late import LatePods
from assay_operator.cluster.nodes import Nodes
from assay_operator.cluster.poster import Poster
from assay_operator.cluster.progress import Poller
from assay_operator.cluster.queue import WorkQueue
from assay_operator.cluster.queues import Queues
from assay_operator.cluster.resync import Resync
from assay_operator.cluster.turns import Turns
from assay_operator.objects.keys import Key
from assay_operator.objects.kind import Kinds
from assay_operator.objects.line import Limits
from assay_operator.objects.retention import surplus
from assay_operator.objects.seen import Seen
from assay_operator.process.census import Figure
from assay_operator.process.health import Health
from assay_operator.process.metrics import Metrics
from assay_operator.process.signals import unless_stopped
from assay_operator.screenings.screening import Screening
from assay_operator.settings import Settings
from assay_operator.sweeps.sweep import Sweep

log = logging.getLogger(__name__)

DRAIN_SECONDS, FLUSH_SECONDS = 1.0, 0.5
LAG_SECONDS = 0.5


class Controller:
    """Everything that runs in the leader.

    Args:
        api: the API server.
        configuration: the official client's, for the watches.
        kinds: what there is to work on.
        settings: of this process.
        metrics: told of everything.
        health: told how it goes.
    """

    def __init__(
        self, api: Api, configuration: Any, kinds: Kinds, settings: Settings, metrics: Metrics, health: Health
    ) -> None:
        self._configuration, self._kinds, self._settings = configuration, kinds, settings
        self._metrics, self._health, self._clock = metrics, health, api.clock
        self.cache = Cache(kinds)
        limits = Limits(settings.tasks_at_once, settings.tasks_at_once_per_namespace)
        self.turns = Turns(limits)
        if limits:
            self.cache.witnesses.append(self.turns.saw)
        self.queue: WorkQueue[Key] = WorkQueue(time.monotonic, random.random)
        self._poster = Poster(api, kinds, metrics, lambda: self.queue.idle)
        self._feed = Feed(kinds, self.cache, self.queue)
        self._applier = Applier(api, kinds, self.cache, self._feed, metrics, self._poster.post)
        self._hints = Hints(api, time.monotonic, self.queue.add, lambda key: self.cache.seen(key) is not None)
        self._nodes = Nodes(api, time.monotonic, self.queue.add)
        self._late = LatePods(api, self.cache, self._feed)
        self._resync = Resync(api, kinds, self.cache, self._feed, settings.namespaces)
        self._held = Held(lambda: health.fence is None or health.fence.left > 0)
        self._surplus: frozenset[Key] = frozenset()
        self._queues = Queues(api, self.cache, self.queue.add, settings.progress_seconds, api.clock.now)
        self._poller = Poller(self.cache, self.queue, settings.progress_seconds)
        self._ahead = float("-inf")

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop` is set, then finish what is begun, in a second or two: another replica waits."""
        objects = {kind.custom.word: partial(self.cache.parents, kind.custom.kind) for kind in self._kinds}
        self._metrics.watch(objects, self.cache.pods_at_work, lambda: self.queue.depth, self._regressions, self._named)
        self._metrics.turns.set_function(lambda: self.turns.waiting)
        self._health.stuck = lambda: self.queue.stuck_seconds
        if not await unless_stopped(self.fill(), stop):
            return
        # What ended before this process came is in nobody's counters twice.
        self.cache.witnesses.append(self._metrics.outcomes.saw)
        jobs: list[Callable[[], Coroutine[Any, Any, None]]] = [
            self._poster.work,
            self._poller.work,
            self._hints.work,
            self._queues.work,
            self._nodes.work,
            self._heal,
            lambda: self.turns.work(self.queue.add),
            lambda: self._held.work(self.queue.add),
            *[lambda: self.queue.work(self._process)] * self._settings.workers,
            # Last, and never cancelled: kopf, as it ends, ends every task that began after it, and so the events that
            # are still to be posted and the giving back of the Lease. It ends with the process.
            lambda: watch(self._settings, self._configuration, self._kinds, self._feed, stop, self._resync.versions),
        ]
        tasks = [asyncio.create_task(job(), name=f"controller-{index}") for index, job in enumerate(jobs)]
        for task in tasks:
            # None of them ever ends by itself: if one does, this process is no use any more.
            task.add_done_callback(lambda _: stop.set())
        try:
            await stop.wait()
            broken = [task for task in tasks if task.done()]
            await self.queue.close(DRAIN_SECONDS)
        finally:
            for task in tasks[:-1]:
                task.cancel()
        # What kopf still sees is not acted upon.
        await asyncio.gather(*tasks[:-1], return_exceptions=True)
        for task in broken:
            task.result()
        await self._poster.flush(FLUSH_SECONDS)

    def _named(self) -> Iterator[Figure]:
        every = (parent for parent in self.cache.parents(SCREENING_KIND) if isinstance(parent, Screening))
        return ((each.namespace, each.name, each.named) for each in every)

    def _regressions(self) -> Iterator[Figure]:
        sweeps = (parent for parent in self.cache.parents(SWEEP_KIND) if isinstance(parent, Sweep))
        return ((sweep.namespace, sweep.name, sweep.regressed) for sweep in sweeps)

    async def fill(self, *, ahead: bool = False) -> None:
        """List all there is, unless that was done a short time ago; `ahead`: it is not certain that this one leads."""
        if time.monotonic() - self._ahead < self._settings.lease_seconds:
            return
        while True:
            try:
                await self._resync.fill()
                break
            except ApiError as error:
                log.warning("listing what there is failed; trying again", extra={"error": error.message})
                await asyncio.sleep(1)
        self._health.resynced = time.monotonic()
        if ahead:
            self._ahead = self._health.resynced
        self._metrics.got_on()

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
            audits = self.cache.parents(KIND)
            self._surplus = surplus(audits, self._settings.audits_per_namespace)
            for parent in self.cache.parents():
                if not parent.complete or parent.key in self._surplus:
                    self.queue.add(parent.key)

    async def _process(self, key: Key) -> None:
        seen = self.cache.seen(key)
        if seen is None:
            self.queue.forget(key)
            self._nodes.forget(key)
            self._applier.forget(key)
            return
        began = time.monotonic()
        try:
            await self._pass(key, seen)
        except ChildRefused as refusal:
            self._failed(key, "refused", str(refusal))
            if self.cache.memory(key.group).refused != seen.refused:
                self.queue.add(key)
        except Fenced as error:
            self._metrics.reconciles.labels("error").inc()
            self._held.hold(key)
            log.debug("a pass waits for the lease", extra={"key": str(key), "error": error.message})
        except ApiError as error:
            if error.status == 404 and not await self._there(key):
                return
            self._failed(key, "conflict" if error.status == 409 else "error", error.message)
        except Exception:
            # Ours: the queue tells it with its traceback and has it tried again.
            self._metrics.reconciles.labels("exception").inc()
            self.turns.leave(key)
            raise
        else:
            self._metrics.reconciles.labels("ok").inc()
            self.queue.succeeded(key)
        self._metrics.seconds.observe(time.monotonic() - began)
        self._metrics.got_on()

    async def _pass(self, key: Key, seen: Seen) -> None:
        now, kind = self._clock.now(), self._kinds[key.kind]
        seen = await self._late.found(key, seen, now)
        seen = self._with_hints(key, seen, kind.silent(seen, now))
        seen = replace(seen, turn=self.turns.turn(seen.parent), surplus=key in self._surplus)
        seen = replace(seen, nodes=await self._nodes.asked(key, kind.nodes(seen, now)))
        decision = kind.reconcile(seen, now, self._settings)
        if decision.requeue_after is not None:
            # Before anything is tried: whatever fails is tried again, and then perhaps too late.
            self.queue.add(key, decision.requeue_after)
        with self.turns.taken(seen.parent, decision):
            await self._applier.apply(seen, decision, now)
        if seen.refused and not self.cache.memory(key.group).refused:
            self.queue.add(key)

    def _with_hints(self, key: Key, seen: Seen, silent: tuple[str, ...]) -> Seen:
        """What is seen, with what events say of those that do not come up."""
        hints = self._hints.of(key, silent)
        return replace(seen, hints=hints) if hints else seen

    async def _there(self, key: Key) -> bool:
        """Whether an object that gave 404 is still known; its namespace or itself may be going."""
        await asyncio.sleep(0.2)
        return self.cache.seen(key) is not None

    def _failed(self, key: Key, result: str, message: str) -> None:
        self._metrics.reconciles.labels(result).inc()
        seconds = self.queue.retry(key)
        # Someone changed it meanwhile: nothing is wrong, the next pass sees it.
        level = logging.DEBUG if result == "conflict" else logging.WARNING
        log.log(
            level,
            "a pass failed; trying again",
            extra={self._kinds[key.kind].custom.word: str(key), "seconds": round(seconds, 1), "error": message},
        )


async def measure_lag(metrics: Metrics) -> None:
    """Tell how late the event loop is, for ever."""
    while True:
        due = time.monotonic() + LAG_SECONDS
        await asyncio.sleep(LAG_SECONDS)
        metrics.lag.set(max(0.0, time.monotonic() - due))
