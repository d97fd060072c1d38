"""What the operator tells Prometheus.

Every name begins with `assay_`; a counter ends in `_total`. Our objects are counted when asked for, from the cache.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, PlatformCollector, ProcessCollector
from prometheus_client.exposition import generate_latest

from assay_operator.objects.seen import Parent
from assay_operator.process.census import AtWork, Figure, PodsAtWork, Standing, named_gpus, regressions
from assay_operator.process.outcomes import FREE, Outcomes


class Metrics:
    """The operator's metrics, in a registry of their own.

    Args:
        gpu_hour_prices: of an hour of one GPU, by product; `default` is of all others.
    """

    def __init__(self, gpu_hour_prices: Mapping[str, float] = FREE) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        registry = self.registry
        self.reconciles = Counter("assay_reconciles_total", "Passes over an audit.", ["result"], registry=registry)
        # There from the start, for Prometheus sees no increase in what was not there before.
        self.reconciles.labels("exception")
        self.seconds = Histogram(
            "assay_reconcile_seconds",
            "Seconds of one pass over an audit.",
            registry=registry,
            buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
        )
        self.depth = Gauge("assay_queue_depth", "Audits that are due and wait for a pass.", registry=registry)
        self.retired = Counter("assay_audits_deleted_total", "Audits deleted once done.", ["why"], registry=registry)
        self.turns = Gauge(
            "assay_tasks_waiting_for_turn", "Tasks held back, for as many run as may at once.", registry=registry
        )
        self.jobs = Counter("assay_jobs_created_total", "Jobs created.", ["kind"], registry=registry)
        self.statuses = Counter(
            "assay_status_writes_total", "Statuses written, or refused and replaced.", ["result"], registry=registry
        )
        self.statuses.labels("refused")
        self.events = Counter("assay_events_total", "Events by what became of them.", ["result"], registry=registry)
        self.errors = Counter(
            "assay_api_errors_total", "Requests the API server refused.", ["verb", "code"], registry=registry
        )
        self.leader = Gauge("assay_operator_leader", "1 where this replica leads.", registry=registry)
        self.lag = Gauge("assay_operator_loop_lag_seconds", "Lateness of the event loop.", registry=registry)
        self.progress = Gauge(
            "assay_operator_last_progress_timestamp_seconds", "When the operator last got on.", registry=registry
        )
        self.healed = Counter(
            "assay_resync_healed_total", "Objects that the watch had missed and a listing brought.", registry=registry
        )

        self.outcomes = Outcomes(registry, gpu_hour_prices)

    def watch(
        self,
        objects: Mapping[str, Callable[[], Iterable[Parent]]],
        at_work: Callable[[], Iterable[AtWork]],
        depth: Callable[[], float],
        regressed: Callable[[], Iterable[Figure]] = tuple,
        named: Callable[[], Iterable[Figure]] = tuple,
    ) -> None:
        """Count from now on: objects by the word for one, Pods at work, the queue, regressions, GPUs that are named."""
        for word, every in objects.items():
            self.registry.register(Standing(word, every, time.time))
        self.registry.register(PodsAtWork(at_work))
        self.registry.register(regressions(regressed))
        self.registry.register(named_gpus(named))
        self.depth.set_function(depth)

    def failed(self, verb: str, code: int) -> None:
        """Count a request that failed."""
        self.errors.labels(verb, str(code)).inc()

    def got_on(self) -> None:
        """Remember that the operator got on now."""
        self.progress.set(time.time())

    def text(self) -> bytes:
        """Everything in Prometheus' text format."""
        return generate_latest(self.registry)
