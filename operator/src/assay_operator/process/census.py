"""What there is now, counted when Prometheus asks: our objects by where they stand, and the Pods at work.

Namespaces are many in some clusters: the first 100 that are met have series of their own, all others share one.
"""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Callable, Iterable, Iterator
from typing import Final

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from assay_api.names import Phase
from assay_api.task_kinds import KINDS
from assay_operator.objects.children import Pod
from assay_operator.objects.seen import Parent
from assay_operator.process.outcomes import known_reason

AtWork = tuple[Pod, bool]
"""A Pod that is not over, and whether it waits for storage."""
Figure = tuple[str, str, int]
"""Namespace and name of an object of ours, and a figure of it."""

MOST_NAMESPACES: Final = 100
MOST_OBJECTS: Final = 500
# No namespace can be called so, nor can an object of ours.
OTHER_NAMESPACES: Final = "(other)"
WAITS: Final = (Phase.PENDING, Phase.RUNNING)


class Standing(Collector):
    """Objects of one kind by where they stand, and how long the oldest of those has been there that are not done.

    Args:
        word: the word for one of them.
        objects: all of them.
        clock: seconds since 1970.
    """

    def __init__(self, word: str, objects: Callable[[], Iterable[Parent]], clock: Callable[[], float]) -> None:
        self._word, self._objects, self._clock = word, objects, clock
        self._namespaces: set[str] = set()
        # When those that are not done were last seen held: being held is no waiting.
        self._held: dict[str, float] = {}

    def collect(self) -> Iterator[Metric]:
        """The families of metrics."""
        objects, what = list(self._objects()), f"{self._word.capitalize()}s"
        verdicts = GaugeMetricFamily(
            f"assay_{self._word}s", f"{what} by phase and verdict.", labels=["phase", "verdict"]
        )
        for (phase, verdict), count in sorted(Tally((o.phase, o.verdict) for o in objects).items()):
            verdicts.add_metric([phase or "New", verdict or "None"], count)
        yield verdicts
        labels = ["audit_namespace", "phase", "reason"]
        reasons = GaugeMetricFamily(f"assay_{self._word}s_by_reason", f"{what} by namespace and reason.", labels=labels)
        for key, count in sorted(Tally(map(self._place, objects)).items()):
            reasons.add_metric(key, count)
        yield reasons
        said = f"Seconds for which the oldest of the {self._word}s in a phase has been on its way."
        oldest = GaugeMetricFamily(f"assay_oldest_{self._word}_seconds", said, labels=["phase"])
        for phase, seconds in self._ages(objects).items():
            oldest.add_metric([phase], seconds)
        yield oldest

    def _place(self, item: Parent) -> tuple[str, str, str]:
        namespace = item.key.namespace
        if namespace not in self._namespaces:
            if len(self._namespaces) < MOST_NAMESPACES:
                self._namespaces.add(namespace)
            else:
                namespace = OTHER_NAMESPACES
        return namespace, item.phase or "New", known_reason(item.reason) if item.reason else "None"

    def _ages(self, objects: Iterable[Parent]) -> dict[str, float]:
        """Age of the oldest by phase; 0 where there is none. One that was held counts from when it went on."""
        now = self._clock()
        ages = {phase.value: 0.0 for phase in WAITS}
        held: dict[str, float] = {}
        for item in objects:
            if item.phase == Phase.SUSPENDED:
                held[item.uid] = now
            elif not item.complete and item.until is None:
                # A sweep that waits for its next time has nothing to do.
                since = item.since
                if item.uid in self._held:
                    held[item.uid] = self._held[item.uid]
                    since = max(since, held[item.uid])
                phase = item.phase if item.phase in ages else Phase.PENDING.value
                ages[phase] = max(ages[phase], now - since)
        self._held = held
        return ages


class PodsAtWork(Collector):
    """Pods of tasks that are not over.

    Args:
        pods: all of them.
    """

    def __init__(self, pods: Callable[[], Iterable[AtWork]]) -> None:
        self._pods = pods

    def collect(self) -> Iterator[Metric]:
        """The families of metrics."""
        counts = {(kind, phase): 0 for kind in KINDS for phase in WAITS}
        waiting = 0
        for pod, waits in self._pods():
            key = pod.kind, Phase.RUNNING if pod.phase == Phase.RUNNING else Phase.PENDING
            if key in counts:
                counts[key] += 1
                waiting += waits
        pods = GaugeMetricFamily("assay_task_pods", "Pods of tasks that are not over.", labels=["kind", "phase"])
        for (kind, phase), count in counts.items():
            pods.add_metric([kind, phase.value], count)
        yield pods
        said = "Pods of tasks that wait for storage which does not answer."
        yield GaugeMetricFamily("assay_tasks_waiting_for_storage", said, value=waiting)


class PerObject(Collector):
    """A figure of each object of a kind; 0 where there is nothing to tell.

    The first 500 by name have series of their own, all others share one.

    Args:
        name: of the metric.
        said: what it tells.
        labels: for namespace and name.
        objects: all of them, with the figure.
    """

    def __init__(self, name: str, said: str, labels: tuple[str, str], objects: Callable[[], Iterable[Figure]]) -> None:
        self._name, self._said, self._labels, self._objects = name, said, labels, objects

    def collect(self) -> Iterator[Metric]:
        """The family of metrics."""
        found = GaugeMetricFamily(self._name, self._said, labels=self._labels)
        every = sorted(self._objects())
        for namespace, name, count in every[:MOST_OBJECTS]:
            found.add_metric([namespace, name], count)
        if more := every[MOST_OBJECTS:]:
            found.add_metric([OTHER_NAMESPACES, OTHER_NAMESPACES], sum(count for _, _, count in more))
        yield found


def regressions(sweeps: Callable[[], Iterable[Figure]]) -> PerObject:
    """Answers of sweeps that are worse than what was accepted, or passed before."""
    said = "Answers of a sweep that are worse than what was accepted, or passed before."
    return PerObject("assay_sweep_regressions", said, ("namespace", "sweep"), sweeps)


def named_gpus(screenings: Callable[[], Iterable[Figure]]) -> PerObject:
    """GPUs that the last runs of screenings name."""
    said = "GPUs that the last run of a screening that ended names."
    return PerObject("assay_screening_named_gpus", said, ("screening_namespace", "screening"), screenings)
