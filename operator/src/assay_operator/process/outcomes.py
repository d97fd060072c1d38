"""What Jobs, Pods and runs came to, counted when this process sees it happen.

Every label has few values: kinds of task come from the plan's table, whatever a Pod's own label says.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, TypeGuard

from prometheus_client import CollectorRegistry, Counter, Histogram
from pydantic import ValidationError

from assay_api.names import KIND, SWEEP_KIND, ExitCode, Reason
from assay_api.result import TaskResult
from assay_api.task_kinds import KINDS
from assay_operator.objects.children import Job, Pod
from assay_operator.objects.kind import Item
from assay_operator.objects.refusals import REFUSALS
from assay_operator.objects.seen import Parent, Versioned
from assay_operator.process.spending import VERDICTS, Spending
from assay_operator.process.sweep_outcomes import SweepOutcomes

ENDS: Final = ("Succeeded", "OutOfMemory", "Outage", "Setup", "Unavailable", "InvalidInput", "Disrupted", "Failed")
# What a run can end with, as the reason of Ready.
REASONS: Final = (
    Reason.PASSED, Reason.BREACHED, Reason.INCONCLUSIVE, Reason.INVALID_INPUT, Reason.ERROR, Reason.OUT_OF_MEMORY,
    Reason.CONFIG_ERROR, Reason.IMAGE_UNAVAILABLE, Reason.UNSCHEDULABLE, Reason.DEADLINE_EXCEEDED, Reason.PENDING,
)  # fmt: skip
OTHER: Final = "Other"
# From seconds on a CPU to a day of engine builds.
BUCKETS: Final = (10, 30, 60, 120, 300, 600, 1800, 3600, 7200, 14400, 43200, 86400)
FREE: Final[Mapping[str, float]] = MappingProxyType({})


def pod_end(pod: Pod) -> str:
    """How a Pod that is over ended, one of `ENDS`."""
    if pod.phase == "Succeeded":
        return "Succeeded"
    if pod.disrupted:
        return "Disrupted"
    if pod.out_of_memory:
        return "OutOfMemory"
    if pod.exit_code == ExitCode.TRY_LATER:
        return _told(pod.message)
    known = {ExitCode.UNAVAILABLE: "Unavailable", ExitCode.INVALID_INPUT: "InvalidInput"}
    return known.get(ExitCode(pod.exit_code), "Failed") if pod.exit_code in set(ExitCode) else "Failed"


def _told(message: str) -> str:
    """What has to be mended outside, as the task told it: storage that does not answer, or what an audit names."""
    try:
        error = TaskResult.model_validate_json(message).error
    except ValidationError:
        return "Unavailable"
    return (error.again if error else None) or "Unavailable"


def known_reason(reason: str) -> str:
    """The reason, where it is one of this version's: a status may say anything."""
    return reason if reason in set(Reason) else OTHER


class Outcomes:
    """Counters and histograms of what tasks and runs came to.

    Args:
        registry: where they are served from.
        prices: of an hour of one GPU, by product.
    """

    def __init__(self, registry: CollectorRegistry, prices: Mapping[str, float] = FREE) -> None:
        self.spending, self.sweeps = Spending(registry, prices), SweepOutcomes(registry)
        self.pods = Counter(
            "assay_task_pods_total", "Pods of tasks by how they ended.", ["kind", "ended"], registry=registry
        )
        self.tasks = Histogram(
            "assay_task_seconds",
            "Seconds from the start of a task's Job to its end.",
            ["kind", "ended"],
            registry=registry,
            buckets=BUCKETS,
        )
        self.runs = Counter("assay_runs_ended_total", "Runs by the reason of their end.", ["reason"], registry=registry)
        self.run_seconds = Histogram(
            "assay_run_seconds", "Seconds of a run.", ["verdict"], registry=registry, buckets=BUCKETS
        )
        self.refused = Counter(
            "assay_jobs_refused_total", "Jobs that the API server would not have.", ["code"], registry=registry
        )
        # There from the start, for Prometheus sees no increase in what was not there before.
        for kind in KINDS:
            for end in ENDS:
                self.pods.labels(kind, end)
        for reason in (*REASONS, OTHER):
            self.runs.labels(reason)
        for code in REFUSALS:
            self.refused.labels(str(code))

    def saw(self, item: Item, before: Versioned | None, now: Versioned | None) -> None:
        """Count what came to its end between two states of an object; None: it was not there before, or is gone."""
        if isinstance(now, Pod):
            if now.over and not (isinstance(before, Pod) and before.over) and now.kind in KINDS:
                self.pods.labels(now.kind, pod_end(now)).inc()
        elif isinstance(now, Job):
            if now.finished and not (isinstance(before, Job) and before.finished) and now.kind in KINDS:
                self._job_ended(now)
        elif _is(now, KIND) and now.complete and _is(before, KIND) and not before.complete:
            self._run_ended(now)
        elif _is(now, SWEEP_KIND) and _is(before, SWEEP_KIND):
            self.sweeps.saw(before.status, now.status)

    def _job_ended(self, job: Job) -> None:
        if job.started and job.ended:
            ended = "Failed" if job.failure else "Succeeded"
            self.tasks.labels(job.kind, ended).observe(max((job.ended - job.started).total_seconds(), 0.0))

    def _run_ended(self, parent: Parent) -> None:
        self.runs.labels(parent.reason if parent.reason in REASONS else OTHER).inc()
        if parent.until is not None:
            verdict = parent.verdict if parent.verdict in VERDICTS else "None"
            self.run_seconds.labels(verdict).observe(max(parent.until - parent.since, 0.0))
        self.spending.ended(parent.status)


def _is(item: Versioned | None, kind: str) -> TypeGuard[Parent]:
    """Whether it is an object of a kind of ours: no child has a key."""
    key = getattr(item, "key", None)
    return key is not None and key.kind == kind
