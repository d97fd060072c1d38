"""From a spec to the tasks that answer it: the one planner that the operator and `assay run` share.

    golden ──> candidate (one per candidate and GPU product) ──> summary

`golden` and `summary` need no GPU. A run is named by a digest of what the spec means, a task by the run and its key:
doing a thing twice gives it the same name, so it is done once.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any, Literal

from assay_api.audit import AuditSpec, Candidate
from assay_api.model import Model, to_wire

GOLDEN = "golden"
SUMMARY = "summary"

# Fields that steer how a run is carried out and what becomes of it, not what it measures.
OPERATIONAL = ("suspend", "maxParallel", "onBreach", "ttlSecondsAfterFinished")


class Task(Model):
    """One unit of work: one Job in a cluster, one step of `assay run`."""

    kind: Literal["golden", "candidate", "summary"]
    """What is to be done."""
    key: str
    """Unique in the run: `golden`, `summary`, `name` or `name@gpu-product`."""
    audit: str
    """Name of the audit, `namespace/name` in a cluster."""
    run: str
    """Digest of the run, 16 hexadecimal digits."""
    output: str
    """URI of the run's folder: every task of the run writes below it, and finds there what it needs of the others."""
    cache: str
    """URI of the prefix of reusable results, addressed by content."""
    spec: AuditSpec
    """The spec."""
    candidate: str | None = None
    """Name of the candidate, for kind `candidate`."""
    gpu_product: str | None = None
    """GPU product asked for."""
    gpus: int = 0
    """GPUs the task needs."""
    after: tuple[str, ...] = ()
    """Keys of the tasks whose results it needs."""

    @property
    def digest(self) -> str:
        """Name of the task, unique over all runs: 12 hexadecimal digits."""
        return _sha256({"run": self.run, "key": self.key, "audit": self.audit})[:12]

    @property
    def folder(self) -> str:
        """URI of the folder of the task's own report; the summary's is the run's folder."""
        if self.kind == "summary":
            return self.output
        return f"{self.output.rstrip('/')}/{self.key.replace('@', '.')}"

    def candidate_spec(self) -> Candidate:
        """The candidate this task is about.

        Raises:
            LookupError: the task is not of kind `candidate`.
        """
        for candidate in self.spec.candidates:
            if candidate.name == self.candidate:
                return candidate
        raise LookupError(f"task {self.key} has no candidate")


def run_digest(spec: AuditSpec, rerun: str = "") -> str:
    """Digest of what the spec means: 16 hexadecimal digits.

    Args:
        spec: the audit's spec.
        rerun: value of the annotation that asks for a new run of an unchanged spec.
    """
    wire = {key: value for key, value in to_wire(spec).items() if key not in OPERATIONAL}
    return _sha256({"spec": wire, "rerun": rerun})[:16]


def plan(spec: AuditSpec, audit: str, *, output: str, cache: str, rerun: str = "") -> tuple[Task, ...]:
    """The tasks of one run, each after those it needs.

    Args:
        spec: the audit's spec.
        audit: name of the audit, `namespace/name` in a cluster.
        output: URI of the run's folder, see `run_folder`.
        cache: URI of the prefix of reusable results.
        rerun: value of the rerun annotation.
    """
    run = run_digest(spec, rerun)

    def task(kind: Literal["golden", "candidate", "summary"], key: str, after: tuple[str, ...], **more: Any) -> Task:
        fields = {name: value for name, value in more.items() if value is not None}
        return Task(
            kind=kind, key=key, after=after, audit=audit, run=run, output=output, cache=cache, spec=spec, **fields
        )

    candidates = tuple(
        task("candidate", _key(c, product), (GOLDEN,), candidate=c.name, gpu_product=product, gpus=_gpus(c, spec))
        for c in spec.candidates
        for product in _products(c, spec)
    )
    summary = task("summary", SUMMARY, (GOLDEN, *(t.key for t in candidates)))
    return (task("golden", GOLDEN, ()), *candidates, summary)


def run_folder(artifacts: str, namespace: str, name: str, run: str, uid: str) -> str:
    """URI of a run's folder in a cluster.

    The start of the resource's UID is part of it: a task answers from a report that it has stored already, and an
    audit that was deleted and made again must not be answered by its predecessor.
    """
    return f"{artifacts.rstrip('/')}/{namespace}/{name}/{run}-{uid[:8]}"


def cache_folder(artifacts: str) -> str:
    """URI of the reusable results below an artifacts prefix."""
    return f"{artifacts.rstrip('/')}/cache"


def _key(candidate: Candidate, product: str | None) -> str:
    return candidate.name if product is None else f"{candidate.name}@{product}"


def _products(candidate: Candidate, spec: AuditSpec) -> tuple[str | None, ...]:
    if candidate.backend != "tensorrt":
        return (None,)
    return spec.target.gpu_products or (None,)


def _gpus(candidate: Candidate, spec: AuditSpec) -> int:
    if candidate.backend != "tensorrt":
        return 0
    return int(spec.target.resources.get("nvidia.com/gpu", "1"))


def _sha256(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
