"""What the operator knows of one audit at one moment.

Thousands of audits are kept in memory: specs and statuses stay packed and are parsed when they are needed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from assay_api.names import (
    ANNOTATION_ACCEPT,
    ANNOTATION_RERUN,
    KIND,
    SWEEP_KIND,
    Condition,
)
from assay_api.result import Progress
from assay_operator.objects.children import Job, Pod
from assay_operator.objects.common import common
from assay_operator.objects.fits import Fit
from assay_operator.objects.keys import Key
from assay_operator.objects.line import Turn
from assay_operator.objects.queued import Queued
from assay_operator.objects.raw import Raw, condition, owner, packed
from assay_operator.objects.refusals import Refusal
from assay_operator.objects.resources import JOBS, PODS
from assay_operator.objects.retention import managed_by
from assay_operator.objects.seen import Parent, Seen


class Owner(Parent, Protocol):
    """An object of ours that owns tasks, whatever its kind."""

    @property
    def deleting(self) -> bool:
        """Whether it is being deleted."""


@dataclass(frozen=True, slots=True)
class Audit:
    """An AccuracyAudit: `spec` and `status` are JSON, packed.

    Attributes:
        rerun: the token of the run asked for: the annotation's, or the one handled last where the annotation was taken
            away, which asks for nothing.
        asked: the annotation's token.
        queue_priority: class of Kueue's by which its Jobs are ordered in their queue.
        foreign: something else than the operator carries it out.
        accept: the annotation that asks for its answers to be accepted as baselines.
        record: the status as the operator last wrote it, where another hand has changed it since.
    """

    namespace: str
    name: str
    uid: str
    generation: int
    version: str
    deleting: bool
    queue: str | None
    rerun: str
    spec: bytes
    status: bytes
    phase: str
    verdict: str
    complete: bool
    asked: str = ""
    accept: str = ""
    record: bytes | None = None
    reason: str = ""
    since: float = 0.0
    until: float | None = None
    managed: str = ""
    trace: str = ""
    queue_priority: str | None = None
    foreign: bool = False

    @property
    def key(self) -> Key:
        """Kind, namespace and name."""
        return Key(KIND, self.namespace, self.name)

    @staticmethod
    def of(raw: Raw) -> Audit:
        """Read one from its raw form."""
        meta, status = raw["metadata"], raw.get("status") or {}
        annotations = meta.get("annotations") or {}
        asked = annotations.get(ANNOTATION_RERUN) or ""
        return Audit(
            **common(raw),
            rerun=asked or status.get("rerun") or "",
            asked=asked,
            accept=annotations.get(ANNOTATION_ACCEPT) or "",
            spec=packed(raw.get("spec") or {}),
            status=packed(status),
            complete=condition(status, Condition.COMPLETE).get("status") == "True",
            managed=_kept_by(meta),
        )

    @staticmethod
    def of_owner(owner: Owner, queue: str | None = None, queue_priority: str | None = None, trace: str = "") -> Audit:
        """What the rules of tasks ask of an object of another kind that owns some."""
        return Audit(
            namespace=owner.key.namespace, name=owner.name, uid=owner.uid, generation=owner.generation,
            version=owner.version, deleting=owner.deleting, queue=queue, queue_priority=queue_priority, rerun="",
            spec=b"{}", status=b"{}", phase="", verdict="", complete=False, trace=trace,
        )  # fmt: skip


def _kept_by(meta: Raw) -> str:
    """What would make it again where it was deleted: its sweep, which deletes it when nothing needs it, or a tool."""
    return f"sweep {owner(meta, 'name')}" if owner(meta, "kind") == SWEEP_KIND else managed_by(meta)


@dataclass(frozen=True)
class Observed:
    """One audit and everything of it in the cluster.

    Attributes:
        audit: the audit.
        jobs: its child Jobs, of any run.
        pods: the Pods that those Jobs control. Any other counts for nothing, whatever its labels say.
        results: termination messages of Pods that succeeded, by their Job's UID; they outlive the Pod.
        progress: what running tasks do, by their Job's UID.
        hints: what events say of a Job or Pod that does not come up, by the object's UID.
        refused: what the API server answered to the creation of a Job, by its name.
        queued: what Kueue says of Jobs in its queues, by their UID.
        crowded: what nodes keep for tasks of other audits, of cpu and gpu.
        turn: how many of its tasks the operator lets start now; None: all that want to.
        surplus: it is done, and its namespace keeps more such audits than it should.
        fits: whether a node could take a GPU task, by its key; of tasks that want one and where that is known.
    """

    audit: Audit
    jobs: tuple[Job, ...] = ()
    pods: tuple[Pod, ...] = ()
    results: Mapping[str, str] = field(default_factory=dict)
    progress: Mapping[str, Progress] = field(default_factory=dict)
    hints: Mapping[str, str] = field(default_factory=dict)
    refused: Mapping[str, Refusal] = field(default_factory=dict)
    queued: Mapping[str, Queued] = field(default_factory=dict)
    crowded: frozenset[str] = frozenset()
    turn: Turn | None = None
    surplus: bool = False
    fits: Mapping[str, Fit] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Leave out the Pods that no Job of the audit controls: labels can be had by anyone who may create a Pod."""
        own = {job.uid for job in self.jobs if job.owner == self.audit.uid}
        object.__setattr__(self, "pods", tuple(pod for pod in self.pods if pod.job in own))

    @staticmethod
    def of(seen: Seen, owner: Audit | None = None) -> Observed:
        """The same from what is known of any object of ours: of an audit, or of what `owner` stands for."""
        audit = owner or seen.parent
        assert isinstance(audit, Audit), f"{audit.key.kind} is no audit"
        return Observed(
            audit=audit,
            jobs=seen.children[JOBS],
            pods=seen.children[PODS],
            results=seen.results,
            progress=seen.progress,
            hints=seen.hints,
            refused={ref.name: refusal for ref, refusal in seen.refused.items() if ref.resource == JOBS},
            queued=seen.queued,
            crowded=seen.crowded,
            turn=None if audit.queue else seen.turn,
            surplus=seen.surplus,
        )
