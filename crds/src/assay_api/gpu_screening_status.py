"""`GpuScreening.status`: counts, the GPUs that are named and a few nodes, below 16 KiB however many there are."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from assay_api.model import LIST_MAP_KEYS, Model
from assay_api.status import ConditionStatus

NAMED: int = 16
"""GPUs that a status names."""
UNSCANNED: int = 16
"""Nodes that a status tells of."""


class NodeCounts(Model):
    """Nodes by where they stand. All add up to `nodes`."""

    nodes: int
    """Nodes in all."""
    waiting: int
    """Not begun, or waiting until all of their GPUs are free."""
    running: int
    """Being screened."""
    scanned: int
    """Screened."""
    skipped: int
    """Not screened, and never will be in this run."""
    hung: int
    """Did not come to an end."""


class GpuCounts(Model):
    """GPUs by what was found; of skipped nodes nothing is known."""

    scanned: int
    """Screened."""
    named: int
    """Compute something else, hang or die, in two scans."""
    inconclusive: int
    """Were screened, and nothing can be said of them."""
    skipped: int
    """Not screened, on nodes that were, as they were in use."""


class GpuStatus(Model):
    """A GPU that is named, or of which nothing can be said."""

    node: str
    """Its node."""
    device: str
    """Its UUID; node/NAME where the node as a whole hangs."""
    verdict: Literal["Failed", "Inconclusive"]
    """Failed: it is named. Inconclusive: nothing can be said of it."""
    message: str
    """What was seen."""


class NodeStatus(Model):
    """A node that was not screened."""

    node: str
    """Its name."""
    message: str
    """Why."""


class ScreenReportRef(Model):
    """The report of a run."""

    uri: str
    """URI of screen.json, which lists every GPU and every node."""
    sha256: str
    """Its SHA-256."""
    page: str | None = None
    """URI of screen.html."""
    record: str | None = None
    """URI of answers.json, the right answers as of this run, where all of three or more GPUs of a class agreed: for
    spec.record."""


class ScreenStatus(Model):
    """What the operator observed."""

    observed_generation: int = -1
    """Generation of the spec this status speaks of; -1 before the operator saw the screening."""
    phase: Literal["Pending", "Running", "Suspended", "Complete", "Stalled"] | None = None
    """One word for people."""
    verdict: Literal["Passed", "Failed", "Inconclusive"] | None = None
    """Failed: a GPU is named. Inconclusive: one was skipped, or nothing can be said of one. Passed: no answer of any
    GPU deviated. Once a run ended."""
    conditions: tuple[ConditionStatus, ...] = Field(
        default=(), max_length=8, json_schema_extra={"x-kubernetes-list-type": "map", LIST_MAP_KEYS: ["type"]}
    )
    """Ready, Reconciling and Stalled as kstatus reads them; Complete and Passed for kubectl wait."""
    run: str | None = None
    """Name of the run this status speaks of: the UTC time for which it was scheduled, or a digest."""
    asked: str | None = None
    """Digest of the annotation that asked for the run."""
    start_time: str | None = None
    """When the run began."""
    completion_time: str | None = None
    """When the run ended."""
    last_schedule_time: str | None = None
    """The scheduled time that was dealt with last, by a run or by dropping it."""
    next_schedule_time: str | None = None
    """When the schedule has its next run."""
    missed_runs: int | None = None
    """Scheduled times that were dropped so far."""
    nodes: NodeCounts | None = None
    """Nodes by where they stand."""
    gpus: GpuCounts | None = None
    """GPUs by what was found in the last run that ended."""
    finished: str | None = None
    """Nodes that are done of all, for example 62/64."""
    excludes: str | None = None
    """Fault rate per run that is excluded with 95 % confidence for every GPU that passed in the last run that ended."""
    worst: tuple[GpuStatus, ...] = Field(default=(), max_length=NAMED)
    """The first GPUs that the last run to end names, then those of which nothing can be said; the report has all."""
    unscanned: tuple[NodeStatus, ...] = Field(default=(), max_length=UNSCANNED)
    """The first nodes that were not screened, and why; the report has all."""
    report: ScreenReportRef | None = None
    """Where the report of the last run that ended lies."""
    emulated: bool | None = None
    """True where the CPU stood in for the GPUs, so that nothing is said of any."""
    update_time: str | None = None
    """When this status was written; while only counts change, it is written every few seconds at most."""
