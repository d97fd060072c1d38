"""`AccuracyAudit.status`: what was observed, never above 16 KiB."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from assay_api.baseline import AcceptedStatus, BaselineStatus, State
from assay_api.finding import Worst
from assay_api.model import LIST_MAP_KEYS, Model
from assay_api.repair import Deployable


class ConditionStatus(Model):
    """A condition, as Kubernetes objects carry them."""

    type: str = Field(max_length=316)
    """Ready, Reconciling, Stalled, Complete or Passed."""
    status: Literal["True", "False", "Unknown"]
    """True, False or Unknown."""
    reason: str = Field(max_length=1024)
    """One word for machines."""
    message: str = Field(max_length=32768)
    """One sentence for people."""
    last_transition_time: str
    """When the status last changed."""
    observed_generation: int
    """Generation of the spec it speaks of."""


class CandidateStatus(Model):
    """One candidate on one target."""

    name: str
    """Key of the candidate, `name` or `name@gpu-product`."""
    state: Literal["Waiting", "Pending", "Running", "Retrying", "Suspended", "Finished", "Failed"]
    """Where its task stands."""
    verdict: Literal["Passed", "Failed", "Inconclusive"] | None = None
    """Its worst finding."""
    message: str | None = None
    """What it waits for, is doing or found."""
    typing: str | None = None
    """TensorRT's typing."""
    achieved: str | None = None
    """Layers of the engine by the precision they ran in, for example 40 FP16, 3 FP32."""
    emulated: bool | None = None
    """True where ONNX Runtime stood in for the engine."""
    worst: Worst | None = None
    """Its worst finding."""
    accuracy: dict[str, str] | None = None
    """Label metrics."""
    latency_ms: str | None = None
    """Median latency of a batch, milliseconds."""
    baseline: BaselineStatus | None = None
    """What its answer is beside the one that was accepted, as of its end or of the last acceptance."""
    compared: BaselineStatus | None = None
    """What its answer is beside the one that spec.compareWith names."""
    report_uri: str | None = None
    """URI of its report.json."""
    report_sha256: str | None = None
    """SHA-256 of its report.json."""
    retries: int | None = None
    """Pods that failed before."""
    gpu_seconds: int | None = None
    """GPU seconds that it took: GPUs times the time from its first Pod to its last one's end."""


class CureStatus(Model):
    """What a repair came to for one candidate, by the remedy that came to most."""

    candidate: str
    """Key of the candidate that failed."""
    remedy: str
    """The remedy, as in spec.remedies."""
    outcome: str
    """Cured, SearchOnly, NotCured, Inconclusive, OutOfBudget or DoesNotApply, as in the report."""
    repaired: str | None = None
    """Key of the repaired candidate, where one was audited."""


class RepairStatus(Model):
    """One repair: of the candidates that failed on one target."""

    name: str
    """Key of its task, `repair` or `repair@gpu-product`."""
    state: Literal["Waiting", "Pending", "Running", "Retrying", "Suspended", "Finished", "Failed"]
    """Where its task stands."""
    message: str | None = None
    """What it waits for, is doing or found; why it failed, which changes no verdict."""
    cures: tuple[CureStatus, ...] = Field(default=(), max_length=32)
    """What came of each candidate that failed; the first few where there are many."""
    report_uri: str | None = None
    """URI of its report.json."""
    report_sha256: str | None = None
    """SHA-256 of its report.json."""
    retries: int | None = None
    """Pods that failed before."""
    gpu_seconds: int | None = None
    """GPU seconds that it took: GPUs times the time from its first Pod to its last one's end."""


Entry = CandidateStatus | RepairStatus
"""What the status has on record of a task."""


class TaskStatus(Model):
    """A task that is about no candidate: golden, or the summary."""

    name: str
    """Key of the task."""
    state: Literal["Waiting", "Pending", "Running", "Retrying", "Suspended", "Finished", "Failed"]
    """Where it stands."""
    message: str | None = Field(default=None, max_length=1024)
    """What it waits for, is doing or failed of."""
    retries: int | None = None
    """Pods that failed before."""


class ReportStatus(Model):
    """The audit's own report."""

    uri: str
    """URI of report.json."""
    sha256: str
    """SHA-256 of report.json."""
    page: str | None = None
    """URI of report.html."""


class RecommendationStatus(Model):
    """Which candidate to ship."""

    candidate: str | None = None
    """The fastest candidate that passed; it may be a repaired one."""
    message: str
    """Why."""
    deploy: Deployable | None = None
    """What to deploy of it, where it was repaired."""


class AuditStatus(Model):
    """What the operator observed."""

    observed_generation: int = -1
    """Generation of the spec this status speaks of; -1 before the operator saw the audit."""
    phase: Literal["Pending", "Running", "Suspended", "Complete", "Stalled"] | None = None
    """One word for people."""
    verdict: Literal["Passed", "Failed", "Inconclusive"] | None = None
    """The worst candidate's verdict; Inconclusive at best where the summary failed or contradicts the candidates."""
    conditions: tuple[ConditionStatus, ...] = Field(
        default=(), max_length=8, json_schema_extra={"x-kubernetes-list-type": "map", LIST_MAP_KEYS: ["type"]}
    )
    """Ready, Reconciling and Stalled as kstatus reads them; Complete and Passed for kubectl wait."""
    run: str | None = None
    """Digest of the run this status speaks of."""
    rerun: str | None = Field(default=None, max_length=256)
    """The value of the annotation assay.dev/rerun that this run answers, for kubectl wait."""
    start_time: str | None = None
    """When the run was first seen."""
    completion_time: str | None = None
    """When the run ended."""
    finished: str | None = None
    """Candidates finished of all, for example 2/3."""
    worst: str | None = Field(default=None, max_length=512)
    """The worst figure in a few words."""
    baseline: State | None = None
    """What matters most of what its candidates are beside their baselines."""
    accepted: AcceptedStatus | None = None
    """The acceptance of its answers as baselines that was asked for last."""
    recommendation: RecommendationStatus | None = None
    """Which candidate to ship."""
    report: ReportStatus | None = None
    """The audit's own report."""
    progress: str | None = Field(default=None, max_length=512)
    """What the running tasks are doing."""
    candidates: tuple[CandidateStatus, ...] = Field(
        default=(), max_length=128, json_schema_extra={"x-kubernetes-list-type": "map", LIST_MAP_KEYS: ["name"]}
    )
    """One per candidate and target; the worst few where there are many."""
    tasks: tuple[TaskStatus, ...] = Field(
        default=(), max_length=8, json_schema_extra={"x-kubernetes-list-type": "map", LIST_MAP_KEYS: ["name"]}
    )
    """Golden and the summary, while they wait or work, and where they failed."""
    repairs: tuple[RepairStatus, ...] = Field(
        default=(), max_length=33, json_schema_extra={"x-kubernetes-list-type": "map", LIST_MAP_KEYS: ["name"]}
    )
    """Repairs of candidates that failed, one per target, where spec.remedies asks for them."""
