"""The table of our resources: what Kubernetes is told of each, and the types that a user writes and reads.

The definitions, their reference page and the operator's rights follow from it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from assay_api import names
from assay_api.audit import AccuracyAudit, AuditSpec
from assay_api.gpu_screening import GpuScreening, ScreenSpec
from assay_api.gpu_screening_status import ScreenStatus
from assay_api.model import Model
from assay_api.status import AuditStatus
from assay_api.sweep import AccuracySweep, SweepSpec
from assay_api.sweep_status import SweepStatus


@dataclass(frozen=True)
class Column:
    """A column of `kubectl get`; one with a priority is shown by `-o wide` only."""

    name: str
    type: str
    path: str
    description: str
    priority: int = 0


@dataclass(frozen=True)
class CustomResource:
    """One of our resources.

    Attributes:
        kind: its kind.
        plural: its name in URLs, roles and file names.
        singular: its name for kubectl.
        short_names: for those who type it often; the first is the word for it in logs and metrics.
        description: what it is for.
        model: the whole resource, as a file holds it.
        spec: type of `spec`. Where it has `checks`, those of the runner's table are filled in.
        status: type of `status`.
        columns: of `kubectl get`.
        selectable: paths that `--field-selector` takes.
    """

    kind: str
    plural: str
    singular: str
    short_names: tuple[str, ...]
    description: str
    model: type[Model]
    spec: type[Model]
    status: type[Model]
    columns: tuple[Column, ...] = ()
    selectable: tuple[str, ...] = ()

    @property
    def word(self) -> str:
        """The word for it in logs and metrics."""
        return self.short_names[0]

    @property
    def definition(self) -> str:
        """Name of its CustomResourceDefinition."""
        return f"{self.plural}.{names.GROUP}"


AUDIT: Final = CustomResource(
    kind=names.KIND,
    plural=names.PLURAL,
    singular=names.SINGULAR,
    short_names=names.SHORT_NAMES,
    description=(
        "An AccuracyAudit asks whether optimised builds of a model still compute what the model computes: "
        "where they stop doing so, why, and which one to ship."
    ),
    model=AccuracyAudit,
    spec=AuditSpec,
    status=AuditStatus,
    columns=(
        Column("Verdict", "string", ".status.verdict", "Worst candidate's verdict"),
        Column("Phase", "string", ".status.phase", "Where the run stands"),
        Column("Reason", "string", '.status.conditions[?(@.type=="Ready")].reason', "Why it stands there, in one word"),
        Column("Candidates", "string", ".status.finished", "Candidates finished of all"),
        Column("Baseline", "string", ".status.baseline", "What matters most beside what was accepted"),
        Column("Worst", "string", ".status.worst", "The worst figure"),
        Column("Ship", "string", ".status.recommendation.candidate", "The fastest candidate that passed", 1),
        Column("Run", "string", ".status.run", "Digest of the run", 1),
        Column("Age", "date", ".metadata.creationTimestamp", "Time since creation"),
        Column("Message", "string", '.status.conditions[?(@.type=="Ready")].message', "Why it stands there"),
    ),
    selectable=(".status.verdict", ".status.phase"),
)

SWEEP: Final = CustomResource(
    kind=names.SWEEP_KIND,
    plural=names.SWEEP_PLURAL,
    singular=names.SWEEP_SINGULAR,
    short_names=names.SWEEP_SHORT_NAMES,
    description=(
        "An AccuracySweep audits many models on many GPU products and images in the same way, now and again: "
        "what has not changed since it was audited is not audited again."
    ),
    model=AccuracySweep,
    spec=SweepSpec,
    status=SweepStatus,
    columns=(
        Column("Verdict", "string", ".status.verdict", "Worst cell's verdict"),
        Column("Phase", "string", ".status.phase", "Where the run stands"),
        Column("Cells", "string", ".status.finished", "Cells with an answer of all"),
        Column("Failed", "integer", ".status.counts.failed", "Cells that failed"),
        Column(
            "Regressed",
            "integer",
            ".status.counts.regressed",
            "Cells that are worse than what was accepted, or passed before",
        ),
        Column("New", "integer", ".status.baselines.new", "Answers of which nothing was accepted yet", 1),
        Column("Unchanged", "integer", ".status.counts.unchanged", "Cells answered by an earlier run", 1),
        Column("Gate", "string", ".status.gate.decision", "Whether the upgrade may go ahead", 1),
        Column("Run", "string", ".status.run", "Name of the run", 1),
        Column("Next", "string", ".status.nextScheduleTime", "When the next run begins", 1),
        Column("Age", "date", ".metadata.creationTimestamp", "Time since creation"),
    ),
    selectable=(".status.verdict", ".status.phase"),
)

SCREENING: Final = CustomResource(
    kind=names.SCREENING_KIND,
    plural=names.SCREENING_PLURAL,
    singular=names.SCREENING_SINGULAR,
    short_names=names.SCREENING_SHORT_NAMES,
    description=(
        "A GpuScreening runs one plan on every GPU of a product and compares all answers bit by bit: "
        "GPUs that compute something else than the others, hang or die are named."
    ),
    model=GpuScreening,
    spec=ScreenSpec,
    status=ScreenStatus,
    columns=(
        Column("Verdict", "string", ".status.verdict", "Failed where a GPU is named"),
        Column("Phase", "string", ".status.phase", "Where the run stands"),
        Column("Nodes", "string", ".status.finished", "Nodes that are done of all"),
        Column("GPUs", "integer", ".status.gpus.scanned", "GPUs that were screened"),
        Column("Named", "integer", ".status.gpus.named", "GPUs that compute something else, hang or die"),
        Column("Skipped", "integer", ".status.nodes.skipped", "Nodes that were not screened"),
        Column("Excludes", "string", ".status.excludes", "Fault rate per run that is excluded (95 %)", 1),
        Column("Run", "string", ".status.run", "Name of the run", 1),
        Column("Next", "string", ".status.nextScheduleTime", "When the next run begins", 1),
        Column("Age", "date", ".metadata.creationTimestamp", "Time since creation"),
        Column("Message", "string", '.status.conditions[?(@.type=="Ready")].message', "Why it stands there", 1),
    ),
    selectable=(".status.verdict", ".status.phase"),
)

RESOURCES: Final[dict[str, CustomResource]] = {each.kind: each for each in (AUDIT, SWEEP, SCREENING)}
"""Every resource by its kind."""
