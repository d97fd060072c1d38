"""`AccuracySweep.status`: counts, the worst few and a short history, below 16 KiB however many cells there are."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from assay_api.asked import MOST_TOKEN
from assay_api.baseline import AcceptedStatus, State
from assay_api.gate import Decision
from assay_api.model import LIST_MAP_KEYS, Model
from assay_api.status import ConditionStatus

WORST: int = 10
"""Cells that a status names."""
RUNS: int = 5
"""Runs that a status remembers."""
TARGETS: int = 32
"""Targets that a run has at most."""


class SweepCounts(Model):
    """Cells by where they stand. All but `unchanged` and `regressed` add up to `cells`."""

    cells: int = 0
    """Cells in all: models times candidates times GPU products times images."""
    waiting: int = 0
    """Not begun."""
    running: int = 0
    """Being audited."""
    passed: int = 0
    """Passed."""
    failed: int = 0
    """Failed."""
    inconclusive: int = 0
    """Could not be judged."""
    errors: int = 0
    """Have no answer, for their audit failed; the next run tries again."""
    over_budget: int = 0
    """Not audited, for the budget is spent."""
    unchanged: int = 0
    """Answered by an audit of an earlier run, for nothing that they depend on has changed."""
    regressed: int = 0
    """Worse than what was accepted of them; where nothing was, failed and passed when they were audited before. Equal
    models share an answer, which counts once."""


class BaselineCounts(Model):
    """Answers by what they are beside their baselines; equal models share one."""

    new: int = 0
    """Nothing was accepted of them yet."""
    unchanged: int = 0
    """Equal to the last bit."""
    changed: int = 0
    """Other bits, within chance."""
    improved: int = 0
    """Better by more than chance."""
    regressed: int = 0
    """Worse by more than chance."""
    inconclusive: int = 0
    """Cannot be told."""


class CellStatus(Model):
    """One cell that did not pass, or regressed."""

    model: str
    """Name of the model."""
    candidate: str
    """Name of the candidate."""
    gpu_product: str | None = None
    """GPU product."""
    image: str | None = None
    """Runner image, where the sweep has several."""
    verdict: Literal["Passed", "Failed", "Inconclusive"] | None = None
    """Its verdict; absent where there is none."""
    regressed: bool = False
    """True where it is worse than what was accepted, or, where nothing was, passed when it was audited before. Default
    false."""
    baseline: State | None = None
    """What it is beside its baseline."""
    cause: str | None = None
    """What failed or has changed, and where it starts."""
    message: str | None = None
    """Its worst figure, or why there is none."""
    audit: str
    """Its AccuracyAudit."""


GATED: int = 5
"""Rows of a gate that a status names."""


class GateRow(Model):
    """One model on one GPU product that stands in the way of an upgrade."""

    model: str
    """Name of the model."""
    gpu_product: str | None = None
    """GPU product."""
    decision: Decision
    """NoGo, Inconclusive or GoWithRemedy."""
    message: str | None = None
    """Why, by the candidate that decides."""


class GateStatus(Model):
    """Whether an upgrade may go ahead; see `assay gate NAME` for all of it."""

    decision: Decision
    """The worst of all: NoGo, Inconclusive, GoWithRemedy or Go."""
    go: int = 0
    """Models times GPU products that may go ahead."""
    go_with_remedy: int = 0
    """Those that may with a repaired candidate."""
    no_go: int = 0
    """Those that fail or are worse, and were not with the old image."""
    inconclusive: int = 0
    """Those that could not be judged, or have not been yet."""
    cured: int = 0
    """Those of which the upgrade cures a candidate."""
    plans_failed: int = 0
    """Existing plans that fail with the old image, on the driver there is now: not the new image's doing."""
    emulated: bool = False
    """True where ONNX Runtime stood in for any engine: it says nothing of TensorRT. Default false."""
    worst: tuple[GateRow, ...] = Field(default=(), max_length=GATED)
    """The worst few."""
    left_out: int = 0
    """How many of the worst few the status has no room for; the figures above count them."""


class SweepTarget(Model):
    """A GPU product and the driver that it runs with."""

    gpu_product: str
    """As in the node label nvidia.com/gpu.product."""
    driver: str | None = None
    """Version of the driver; several where nodes differ; where no node tells, that of the run before; absent where none
    ever told."""
    nodes: int | None = None
    """Nodes that have it; 0 where none has had it in this run; absent where nodes may not be listed."""
    memory_mib: int | None = Field(default=None, alias="memoryMiB")
    """Memory of one GPU in MiB, the least where nodes differ; absent where none tells."""
    mig_profile: str | None = None
    """MIG profile, where it is a part of a GPU."""
    source: Literal["ResourceSlices"] | None = None
    """ResourceSlices: no node has the label of this product, and only NVIDIA's DRA driver shows it. Absent: labels."""


class SweepRunRecord(Model):
    """A run that ended."""

    name: str
    """Name of the run."""
    start_time: str
    """When it began."""
    completion_time: str
    """When it ended."""
    verdict: Literal["Passed", "Failed", "Inconclusive"] | None = None
    """The worst cell's verdict."""
    counts: SweepCounts
    """Cells by where they stood at its end."""
    gpu_seconds: int = 0
    """GPU seconds that it took."""


class SweepStatus(Model):
    """What the operator observed."""

    observed_generation: int = -1
    """Generation of the spec this status speaks of; -1 before the operator saw the sweep."""
    phase: Literal["Pending", "Running", "Suspended", "Complete", "Stalled"] | None = None
    """One word for people."""
    verdict: Literal["Passed", "Failed", "Inconclusive"] | None = None
    """The worst cell's verdict, once a run ended; Inconclusive at best where cells have no answer."""
    conditions: tuple[ConditionStatus, ...] = Field(
        default=(), max_length=8, json_schema_extra={"x-kubernetes-list-type": "map", LIST_MAP_KEYS: ["type"]}
    )
    """Ready, Reconciling and Stalled as kstatus reads them; Complete and Passed for kubectl wait."""
    run: str | None = None
    """Name of the run this status speaks of: the UTC time for which it was scheduled, or a digest."""
    asked: str | None = None
    """Digest of the annotations that asked for cells to be audited again, when the run began."""
    rerun: str | None = Field(default=None, max_length=MOST_TOKEN)
    """The value of the annotation assay.dev/rerun that this run answers, for kubectl wait."""
    rerun_failed: str | None = Field(default=None, max_length=MOST_TOKEN)
    """The same of the annotation assay.dev/rerun-failed."""
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
    models: int | None = None
    """Models of the run."""
    targets: tuple[SweepTarget, ...] = Field(default=(), max_length=TARGETS)
    """GPU products of the run, as they were when it began, or when the first node with one came."""
    counts: SweepCounts = SweepCounts()
    """Cells by where they stand."""
    gate: GateStatus | None = None
    """Whether the upgrade may go ahead, where the sweep has one."""
    baselines: BaselineCounts | None = None
    """Answers by what they are beside their baselines; absent where none tells."""
    accepted: AcceptedStatus | None = None
    """The acceptance of answers as baselines that was asked for last."""
    finished: str | None = None
    """Cells with an answer of all, for example 9990/10000."""
    gpu_seconds: int | None = None
    """GPU seconds of this run so far."""
    estimated_gpu_seconds: int | None = None
    """GPU seconds that this run was reckoned to take when it began, by medians of earlier audits; absent where none
    was measured."""
    worst: tuple[CellStatus, ...] = Field(default=(), max_length=WORST)
    """The worst few cells: regressed ones first, then failed, then those that could not be judged or have no answer."""
    worst_left_out: int | None = None
    """How many of the worst few the status has no room for; counts have them."""
    history: tuple[SweepRunRecord, ...] = Field(default=(), max_length=RUNS)
    """The last few runs that ended, the latest first; only the latest where the status has no room for more."""
    update_time: str | None = None
    """When this status was written; while only counts change, it is written every few seconds at most."""
