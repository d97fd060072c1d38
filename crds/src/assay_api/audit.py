"""`AccuracyAudit`: the words a user writes. Field docstrings are what `kubectl explain` prints."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, ClassVar, Literal

from pydantic import Field

from assay_api.candidate import (
    BACKENDS,
    Backend,
    BuildOptions,
    Calibration,
    Candidate,
    EngineRef,
    LayerPrecision,
    ModelRef,
    Precision,
    ShapeProfile,
)
from assay_api.dataset import Dataset, InputFeed
from assay_api.fields import Endpoint, ObjectName, Sha256, ShortText, Uri
from assay_api.model import LIST_MAP_KEYS, Model, Rule
from assay_api.remedies import Remedies
from assay_api.target import Deadlines, LocalRef, PodSettings, Target, Toleration

__all__ = [
    "BACKENDS",
    "AccuracyAudit",
    "Artifacts",
    "AuditSpec",
    "AuditTemplate",
    "Backend",
    "BuildOptions",
    "Calibration",
    "Candidate",
    "CompareWith",
    "Dataset",
    "Deadlines",
    "EngineRef",
    "Golden",
    "InputFeed",
    "KeyRef",
    "LayerPrecision",
    "LocalRef",
    "ModelRef",
    "PodSettings",
    "Precision",
    "Remedies",
    "ShapeProfile",
    "Storage",
    "Target",
    "Toleration",
    "once_rules",
]


class Golden(Model):
    """What the candidates are held against: ONNX Runtime's outputs of the original model, or stored outputs."""

    RULES: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "has(self.precision) != has(self.uri)",
            lambda s: s.has("precision") != s.has("uri"),
            "golden takes exactly one of precision (computed by ONNX Runtime) and uri (stored outputs)",
        ),
    )
    precision: Literal["fp32", "fp64"] | None = None
    """Precision of the golden run by ONNX Runtime on CPU; fp64 where limits are finer than fp32 holds."""
    uri: Uri | None = None
    """Stored golden outputs, in the files that a dataset may have: one array per model output, first axis = samples in
    the dataset's order, wherever the model has them; none for an output that has no samples, as a constant. ONNX's
    output_*.pb and Polygraphy's saved outputs hold them as the model gives them. In layout feeds: a file per feed, by
    the same name."""


class KeyRef(Model):
    """One key of a ConfigMap in the audit's namespace."""

    name: ObjectName
    """Name of the ConfigMap."""
    key: ShortText = "ca.crt"
    """Key in it. Default ca.crt."""


class Storage(Model):
    """How s3:// is reached. Credentials come from a Secret or the Pods' workload identity, never from this spec."""

    RULES: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "!(has(self.secretRef) && has(self.serviceAccountName))",
            lambda s: not (s.has("secret_ref") and s.has("service_account_name")),
            "storage takes secretRef (static keys) or serviceAccountName (workload identity), not both",
        ),
    )
    secret_ref: LocalRef | None = None
    """Secret with the keys AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (AWS_SESSION_TOKEN if needed)."""
    service_account_name: ObjectName | None = None
    """ServiceAccount of the Pods, for workload identity."""
    endpoint: Endpoint | None = None
    """Endpoint of an S3-compatible server. Default: AWS."""
    region: ShortText | None = None
    """Region. Default us-east-1."""
    ca_bundle_ref: KeyRef | None = None
    """ConfigMap with the CA certificates (PEM) of the endpoint."""


class Artifacts(Model):
    """Where reports and reusable results go."""

    uri: Uri
    """Prefix below which every run gets its own folder: <uri>/<namespace>/<name>/<run>-<uid>/. In place of it
    `assay run` writes to the folder of `--out`, by default ./assay-out/NAME, and nothing into a bucket."""


def once_rules(checks: Iterable[str]) -> tuple[Rule, ...]:
    """One rule per check: it stands in `spec.checks` at most once, so that a finding's check is unambiguous.

    Only `metric`, whose findings name the metric, may stand there more often.
    """
    return tuple(_once(check) for check in checks if check != "metric")


def _once(check: str) -> Rule:
    def holds(spec: AuditTemplate) -> bool:
        return sum(check in entry for entry in spec.checks) <= 1

    cel = f"!has(self.checks) || self.checks.filter(c, has(c.{check})).size() <= 1"
    return Rule(cel, holds, f"{check} stands twice in checks: put its parameters into one")


def _one_key(check: Iterable[str]) -> str:
    given = ", ".join(check)
    way = f"got {given}" if given else "got none; write {} for a check without parameters, for example `- finite: {}`"
    return f"a check has exactly one key, its name; {way}"


class OfModel(Model):
    """What is of one model."""

    model: ModelRef
    """The model as it was trained: the reference every candidate must agree with."""


class AuditTemplate(Model):
    """What to audit of any model, against what, how strictly and where."""

    RULES: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "!has(self.checks) || !self.checks.exists(c, has(c.labelAccuracy)) || has(self.dataset.labels)",
            lambda s: not any("labelAccuracy" in c for c in s.checks) or s.dataset.has("labels"),
            "labelAccuracy needs labels: name the labels array in dataset.labels",
        ),
    )
    dataset: Dataset
    """Inputs on which it is judged."""
    golden: Golden = Golden(precision="fp32")
    """The reference outputs. Default: ONNX Runtime in fp32."""
    candidates: tuple[Candidate, ...] = Field(
        min_length=1, max_length=32, json_schema_extra={"x-kubernetes-list-type": "map", LIST_MAP_KEYS: ["name"]}
    )
    """The ways to build the model that are audited."""
    checks: tuple[dict[str, dict[str, Any]], ...] = Field(default=(), max_length=32)
    """What is checked, one key each. Default: finite, outputDrift, runToRun; labelAccuracy where there are labels."""
    remedies: Remedies | None = None
    """What is done about candidates that fail. Absent: nothing. Repaired candidates are audited like all others; the
    verdict stays that of the candidates above, and the recommendation may be a repaired one."""
    target: Target = Target()
    """Where tasks run."""
    storage: Storage = Storage()
    """How s3:// is reached."""
    artifacts: Artifacts
    """Where reports go."""
    on_breach: Literal["Fail", "Report"] = "Fail"
    """Fail (default): a breached or inconclusive audit is Stalled, so that a pipeline stops. Report: it is Ready, with
    its verdict."""
    suspend: bool = False
    """True holds the audit: no new task starts, running Jobs are suspended. Changing it is no new run."""
    managed_by: ShortText | None = None
    """What carries the audit out, where that is another controller: the operator leaves it alone then, its status and
    Jobs too, for as long as it is. A queue of MultiKueue's needs the queue's label and nothing here. Changing it is no
    new run. Default assay.dev/operator."""
    max_parallel: int = Field(default=4, ge=1, le=256)
    """At most so many Jobs of this audit at once. Default 4."""
    candidates_per_job: int | None = Field(default=None, ge=1, le=32)
    """How many candidates one Job may audit, one after the other: a Pod's start and TensorRT's load are paid once for
    all of them, and a Job that is killed is begun again for all that it has not answered. What it leaves unanswered, a
    candidate that cannot be audited among it, gets a Job of its own. Default 1; no matter to `assay run`."""
    priority: int = Field(default=0, ge=-1000, le=1000)
    """Where the operator holds tasks back, because as many run as it may run at once: among the audits of a namespace
    those with a higher number go first. Changing it is no new run. Default 0."""
    backoff_limit: int = Field(default=3, ge=0, le=20)
    """Retries of a task after a failure that a retry can mend. Default 3."""
    active_deadline_seconds: int = Field(default=86_400, ge=1, le=31_536_000)
    """Longest time for one task, waiting included. Default 86400 (a day)."""
    deadlines: Deadlines = Deadlines()
    """The same for tasks of one kind, where it is to differ."""
    pending_deadline_seconds: int = Field(default=1_800, ge=1, le=31_536_000)
    """Longest time a task may wait for a node, an image or a secret, or be tried again because storage refuses the
    credentials or what the spec names is not there yet, before the audit stalls. Default 1800."""
    stall_deadline_seconds: int = Field(default=1_800, ge=1, le=31_536_000)
    """Longest time without a sign of life of one step of a task, such as a build. It is then ended, passed over, and
    told in the findings. Default 1800."""
    ttl_seconds_after_finished: int = Field(default=86_400, ge=0, le=31_536_000)
    """How long finished Jobs and their Pods are kept; the audit itself stays. Default 86400."""
    delete_seconds_after_finished: int | None = Field(default=None, ge=0, le=315_360_000)
    """Delete the audit itself so long after its run ended; what it stored stays. Not done to one that Argo CD, Flux or
    Helm manages, which would make it again and have it run again. Changing it is no new run. Default: never."""

    @classmethod
    def further_problems(cls, whole: Any) -> Iterator[str]:
        """Checks with more than one key, or none; those that stand there twice."""
        yield from (_one_key(check) for check in whole.checks if len(check) != 1)
        for rule in once_rules(sorted({name for check in whole.checks for name in check})):
            if not rule.holds(whole):
                yield rule.message


class CompareWith(Model):
    """Another audit's report, as of an older engine."""

    uri: Uri
    """Its report.json."""
    sha256: Sha256 | None = None
    """SHA-256 that it must have."""


class AuditSpec(AuditTemplate, OfModel):
    """What to audit, against what, how strictly and where."""

    compare_with: CompareWith | None = None
    """Another audit's report: each candidate is held against the one of the same key in it, sample by sample, beside
    golden; see status.candidates[].compared. No verdict changes by it. A sweep with an upgrade sets it."""


class AccuracyAudit(Model):
    """An AccuracyAudit as a file holds it."""

    api_version: Literal["assay.dev/v1alpha1"]
    """assay.dev/v1alpha1"""
    kind: Literal["AccuracyAudit"]
    """AccuracyAudit"""
    metadata: dict[str, Any]
    """Kubernetes object metadata; name is required."""
    spec: AuditSpec
    """What to audit, against what, how strictly and where."""
