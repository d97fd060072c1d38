"""From a spec to the tasks that answer it: the one planner that the operator and `assay run` share.

    golden ──> candidate (one per candidate and GPU product) ──> repair (one per GPU product) ──> summary

A repair is planned where remedies are asked for, and done where a candidate failed. Where a Job may audit several
candidates, such a Job goes ahead of theirs, and only what it leaves unanswered gets one of its own.

Tasks form a graph: each says what it comes after and on what condition it is done, and `graph.evaluate` says which may
start. A run is named by a digest of what the spec means, a task by the run and its key: doing a thing twice gives it
the same name, so it is done once.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from functools import lru_cache, partial
from typing import Any, Literal

from pydantic import model_validator
from typing_extensions import Self

from assay_api.audit import AuditSpec, Candidate
from assay_api.baseline import AcceptOrder
from assay_api.model import Model, to_wire
from assay_api.resolved import ResolveOrder
from assay_api.screen_orders import CompareOrder, ScreenOrder
from assay_api.task_kinds import CANDIDATE, GOLDEN, KINDS, REPAIR, SUMMARY, TOGETHER, TaskKind

# Fields that steer how a run is carried out and what becomes of it, not what it measures.
OPERATIONAL = (
    "suspend",
    "managedBy",
    "maxParallel",
    "priority",
    "onBreach",
    "ttlSecondsAfterFinished",
    "deleteSecondsAfterFinished",
)


class After(Model):
    """A task that another comes after."""

    task: str
    """Its key."""
    when: Literal["Finished", "Over"] = "Finished"
    """Finished: its result is needed, so where there is none the other task is skipped. Over: however it ended."""


class Task(Model):
    """One unit of work: one Job in a cluster, one step of `assay run`."""

    kind: str
    """What is to be done, one of `KINDS`."""
    key: str
    """Unique in the run: `golden`, `repair`, `summary`, `together_1`, `name`; `name@gpu-product` and so on."""
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
    candidate: Candidate | None = None
    """The candidate that the task is about, where its kind is about one."""
    together: tuple[str, ...] = ()
    """Keys of the tasks that it does ahead, where its kind does that."""
    gpu_product: str | None = None
    """GPU product asked for."""
    gpus: int = 0
    """GPUs the task needs."""
    after: tuple[After, ...] = ()
    """The tasks that it comes after."""
    condition: Literal["always", "aCandidateFailed"] = "always"
    """What must have become of the tasks that it comes after; where it did not, the task is skipped."""
    resolve: ResolveOrder | None = None
    """Models of a sweep to look at, where that is the task; no audit has it in its plan."""
    accept: AcceptOrder | None = None
    """Answers to accept as baselines, where that is the task; likewise."""
    screen: ScreenOrder | None = None
    """A node whose GPUs are screened, where that is the task; likewise."""
    compare: CompareOrder | None = None
    """Reports of nodes that are held together, where that is the task; likewise."""

    @model_validator(mode="after")
    def _of_a_kind(self) -> Self:
        if self.kind not in KINDS:
            raise ValueError(f"no kind of task is called {self.kind!r}: there are {', '.join(KINDS)}")
        if (self.candidate is not None) != KINDS[self.kind].candidate:
            raise ValueError(
                f"task {self.key} of kind {self.kind} carries {'no' if not self.candidate else 'a'} candidate"
            )
        if bool(self.together) != KINDS[self.kind].ahead:
            raise ValueError(f"task {self.key} of kind {self.kind} names {len(self.together)} tasks that it does ahead")
        return self

    @property
    def about(self) -> TaskKind:
        """What sets its kind apart."""
        return KINDS[self.kind]

    @property
    def digest(self) -> str:
        """Name of the task, unique over all runs: 12 hexadecimal digits."""
        return _task_digest(self.run, self.key, self.audit)

    @property
    def deadline_seconds(self) -> int:
        """Longest time for it, waiting included."""
        own = self._own_deadline
        return self.spec.active_deadline_seconds if own is None else own * max(len(self.together), 1)

    @property
    def deadline_field(self) -> str:
        """What says so."""
        return "spec.activeDeadlineSeconds" if self._own_deadline is None else f"spec.deadlines.{self._done}"

    @property
    def _done(self) -> str:
        """The kind of what it does: what goes ahead does its candidates' work."""
        return CANDIDATE if self.about.ahead else self.kind

    @property
    def _own_deadline(self) -> int | None:
        return getattr(self.spec.deadlines, self._done, None)

    @property
    def folder(self) -> str:
        """URI of the folder of the task's own report; the run's folder where that is the run's report."""
        return self.output if self.about.concludes else f"{self.output.rstrip('/')}/{self.key.replace('@', '.')}"


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
    return tasks_of(spec, audit=audit, run=run_digest(spec, rerun), output=output, cache=cache)


def siblings(task: Task) -> dict[str, Task]:
    """The tasks of a task's run by key, itself among them, as the plan that made it has them."""
    planned = tasks_of(task.spec, audit=task.audit, run=task.run, output=task.output, cache=task.cache)
    return {each.key: each for each in planned}


def concluding(tasks: Iterable[Task]) -> Task:
    """The one task of a plan whose report is the run's."""
    (found,) = (task for task in tasks if task.about.concludes)
    return found


def in_order(tasks: Iterable[Task]) -> tuple[Task, ...]:
    """The tasks, each behind all that it comes after; otherwise in the order given.

    Raises:
        ValueError: two tasks have one key, one comes after a task that is not there, or some after one another.
    """
    left = list(tasks)
    keys = {task.key for task in left}
    if len(keys) < len(left):
        raise ValueError("two tasks have one key")
    for task in left:
        if unknown := [after.task for after in task.after if after.task not in keys]:
            raise ValueError(f"task {task.key} comes after {unknown[0]}, which is not planned")
    ordered: dict[str, Task] = {}
    while left:
        free = next((task for task in left if all(after.task in ordered for after in task.after)), None)
        if free is None:
            raise ValueError(f"tasks wait for one another in a circle: {', '.join(task.key for task in left)}")
        ordered[free.key] = free
        left.remove(free)
    return tuple(ordered.values())


def tasks_of(spec: AuditSpec, *, audit: str, run: str, output: str, cache: str) -> tuple[Task, ...]:
    """`plan`, where the digest of the run is known."""
    task = partial(Task, audit=audit, run=run, output=output, cache=cache, spec=spec)
    reference = After(task=GOLDEN)
    candidates = [
        task(
            kind=CANDIDATE, key=_key(candidate, product), candidate=candidate, gpu_product=product,
            gpus=_gpus(candidate, spec), after=(reference,),
        )
        for candidate in spec.candidates
        for product in _products(candidate, spec)
    ]  # fmt: skip
    ahead = [
        task(
            kind=TOGETHER, key=key, together=tuple(each.key for each in members), gpu_product=members[0].gpu_product,
            gpus=members[0].gpus, after=(reference,),
        )
        for key, members in _shared(candidates, spec.candidates_per_job or 1)
    ]  # fmt: skip
    behind = {key: After(task=each.key, when="Over") for each in ahead for key in each.together}
    candidates = [
        each.model_copy(update={"after": (*each.after, behind[each.key])}) if each.key in behind else each
        for each in candidates
    ]
    repairs = [
        task(
            kind=REPAIR, key=REPAIR if product is None else f"{REPAIR}@{product}", gpu_product=product,
            gpus=max(each.gpus for each in audited), condition="aCandidateFailed",
            after=(reference, *(After(task=each.key, when="Over") for each in audited)),
        )
        for product, audited in _by_product(candidates).items()
        if spec.remedies
    ]  # fmt: skip
    every = (reference, *(After(task=each.key, when="Over") for each in (*candidates, *repairs)))
    golden, summary = task(kind=GOLDEN, key=GOLDEN), task(kind=SUMMARY, key=SUMMARY, after=every)
    return in_order((golden, *ahead, *candidates, *repairs, summary))


def run_folder(artifacts: str, namespace: str, name: str, run: str, uid: str) -> str:
    """URI of a run's folder in a cluster.

    The start of the resource's UID is part of it: a task answers from a report that it has stored already, and an
    audit that was deleted and made again must not be answered by its predecessor.
    """
    return f"{artifacts.rstrip('/')}/{namespace}/{name}/{run}-{uid[:8]}"


def baselines_folder(cache: str) -> str:
    """URI of what was accepted, beside the prefix of reusable results."""
    return f"{cache.rpartition('/')[0]}/baselines"


def cache_folder(artifacts: str) -> str:
    """URI of the reusable results below an artifacts prefix."""
    return f"{artifacts.rstrip('/')}/cache"


def _by_product(candidates: Iterable[Task]) -> dict[str | None, list[Task]]:
    """Tasks of candidates by the GPU product that they need."""
    found: dict[str | None, list[Task]] = {}
    for each in candidates:
        found.setdefault(each.gpu_product, []).append(each)
    return found


def _shared(candidates: Iterable[Task], size: int) -> Iterator[tuple[str, list[Task]]]:
    """Key and members of each Job that audits several candidates: at most `size` that ask for the same GPUs."""
    alike: dict[tuple[str | None, int], list[Task]] = {}
    for each in candidates:
        alike.setdefault((each.gpu_product, each.gpus), []).append(each)
    parts = [group[at : at + size] for group in alike.values() for at in range(0, len(group), size)]
    shared = [part for part in parts if len(part) > 1]
    for number, part in enumerate(shared, 1):
        # No candidate can be called so.
        yield f"{TOGETHER}_{number}", part


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


@lru_cache(maxsize=2048)
def _task_digest(run: str, key: str, audit: str) -> str:
    return _sha256({"run": run, "key": key, "audit": audit})[:12]


def _sha256(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
