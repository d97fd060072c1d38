"""The tasks of a screening, and the Jobs that do them.

They are tasks like an audit's, so whatever keeps one from starting or ends it is told in the same words
(`audits/rules.py`). A node's Pod takes all of the node's GPUs: none can be chosen of those that a device plugin gives
out, so that with fewer some would be screened twice and others never, and a second scan would meet another GPU. It is
pinned to its node by an affinity, so that the scheduler has it wait until all are free.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Any, Final

from assay_api.audit import AuditSpec, Dataset, ModelRef
from assay_api.candidate import Candidate
from assay_api.gpu_screening import ScreenSpec
from assay_api.names import LABEL_AUDIT, LABEL_SCREENING, trace_of
from assay_api.plan import Task, cache_folder, run_folder
from assay_api.screen_orders import CompareOrder, ScreenOrder
from assay_api.target import Target
from assay_api.task_kinds import COMPARE, SCREEN
from assay_operator.audits.jobs import job_manifest
from assay_operator.audits.observed import Audit, Observed
from assay_operator.objects.children import Job, Pod
from assay_operator.objects.keys import label_value
from assay_operator.objects.raw import Manifest, compact
from assay_operator.objects.seen import Seen, owner_reference
from assay_operator.screenings.places import Place
from assay_operator.screenings.screening import Screening
from assay_operator.settings import Settings

FIRST: Final = "screen"
AGAIN: Final = "again"
"""What keys of a node's tasks begin with: of its screening, and of the second one that confirms it."""
LONGEST: Final = 31_536_000
COMPARE_SECONDS: Final = 3_600


def folder_of(which: str, node: str) -> str:
    """Folder of a node's report below the run's."""
    return f"{which}.{node}"


def screen_task(screening: Screening, spec: ScreenSpec, run: str, place: Place, which: str) -> Task:
    """The task that screens a node."""
    pinned = {"key": "metadata.name", "operator": "In", "values": [place.node]}
    affinity = {
        "nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {
            "nodeSelectorTerms": [{"matchFields": [pinned]}]
        }}
    }  # fmt: skip
    resources = {**spec.target.resources, spec.gpu_resource: str(place.gpus)}
    target = spec.target.model_copy(update={"affinity": affinity, "resources": resources})
    order = ScreenOrder(
        node=place.node, gpus=place.gpus, record=spec.record.uri if spec.record else None, inputs=spec.inputs,
        batch=spec.batch, runs=spec.runs, heat_seconds=spec.heat_seconds, scan_seconds=spec.scan_seconds,
        silence_seconds=spec.silence_seconds, plugins=spec.plan.plugins,
    )  # fmt: skip
    return Task(
        kind=SCREEN, key=f"{which}@{place.node}", gpus=place.gpus, gpu_product=spec.target.gpu_products[0],
        screen=order, spec=_carrier(spec, target, retries=0, seconds=deadline_of(spec)),
        **_common(screening, spec, run),
    )  # fmt: skip


def compare_task(screening: Screening, spec: ScreenSpec, run: str, order: CompareOrder) -> Task:
    """The task that holds the reports together; what it is to hold is part of its name."""
    target = spec.target.model_copy(update={"gpu_products": ()})
    common = _common(screening, spec, run)
    common["run"] = f"{common['run']}-{_digest(order)}"
    return Task(
        kind=COMPARE, key="compare", compare=order,
        spec=_carrier(spec, target, retries=3, seconds=COMPARE_SECONDS, pending=COMPARE_SECONDS), **common,
    )  # fmt: skip


def deadline_of(spec: ScreenSpec) -> int:
    """Longest time of a node's Job: waiting, and being screened."""
    return min(spec.pending_deadline_seconds + spec.active_deadline_seconds, LONGEST)


def manifest(screening: Screening, spec: ScreenSpec, task: Task, settings: Settings, *, recovery: bool) -> Manifest:
    """The Job of a task: an audit's, but for whose it is, and that its answer is kept until the run ends."""
    made: dict[str, Any] = job_manifest(as_audit(screening, task), task, settings, recovery=recovery)
    for labels in (made["metadata"]["labels"], made["spec"]["template"]["metadata"]["labels"]):
        del labels[LABEL_AUDIT]
        labels[LABEL_SCREENING] = label_value(screening.name)
    made["metadata"]["ownerReferences"] = [owner_reference(screening)]
    del made["spec"]["ttlSecondsAfterFinished"]
    pod = made["spec"]["template"]["spec"]
    if task.kind == SCREEN and recovery:
        # It reads what is stored, for which any node will do: its own may be gone.
        del pod["affinity"]
    elif task.kind == SCREEN:
        # From the moment that it is on its node: what does not end by then hangs.
        pod["activeDeadlineSeconds"] = spec.active_deadline_seconds
        pod.pop("topologySpreadConstraints", None)
        if settings.screening_priority_class and not spec.target.priority_class_name:
            pod["priorityClassName"] = settings.screening_priority_class
    return made


def observed_of(screening: Screening, seen: Seen) -> Observed:
    """The Jobs and Pods of a screening, as an audit's are looked at."""
    # A Pod waits for its own node to be wholly free, whatever others wait for.
    return replace(Observed.of(seen, as_audit(screening)), crowded=frozenset())


class Parts:
    """What is observed, by task: a thousand nodes would each look through everything else.

    Args:
        observed: all of it.
    """

    def __init__(self, observed: Observed) -> None:
        self.whole = observed
        self._jobs: dict[str, list[Job]] = {}
        self._pods: dict[str, list[Pod]] = {}
        for job in observed.jobs:
            self._jobs.setdefault(job.task, []).append(job)
        for pod in observed.pods:
            self._pods.setdefault(pod.job, []).append(pod)

    def of(self, task: Task) -> Observed:
        """What there is of one task."""
        jobs = tuple(self._jobs.get(task.digest, ()))
        return replace(self.whole, jobs=jobs, pods=tuple(pod for job in jobs for pod in self.pods(job)))

    def pods(self, job: Job) -> tuple[Pod, ...]:
        """The Pods of a Job."""
        return tuple(self._pods.get(job.uid, ()))


def as_audit(screening: Screening, task: Task | None = None) -> Audit:
    """What the rules of tasks ask of the object that owns them."""
    trace = screening.trace or (trace_of(screening.uid, task.run.partition(".")[0]) if task else "")
    return Audit.of_owner(screening, screening.queue, screening.queue_priority, trace=trace)


def run_label(screening: Screening, run: str) -> str:
    """The run as its Jobs bear it: a Job that a deleted screening of the same name has left is none of this one's."""
    return f"{run}.{screening.uid[:8]}"


def _common(screening: Screening, spec: ScreenSpec, run: str) -> dict[str, Any]:
    artifacts = spec.artifacts.uri
    return {
        "audit": f"{screening.namespace}/{screening.name}",
        "run": run_label(screening, run),
        "output": run_folder(artifacts, screening.namespace, screening.name, run, screening.uid),
        "cache": cache_folder(artifacts),
    }


def _carrier(spec: ScreenSpec, target: Target, *, retries: int, seconds: int, pending: int = LONGEST) -> AuditSpec:
    """What a task takes along beside its order: of an audit's spec, all that Pods are made of and the plan's place.

    What keeps a Pod waiting is for the Job's deadline to end: a Job that stays says for good that its node was skipped.
    """
    plan = ModelRef(uri=spec.plan.uri, sha256=spec.plan.sha256)
    return AuditSpec(
        model=plan, dataset=Dataset(uri=spec.plan.uri),
        candidates=(Candidate(name="plan", backend="tensorrt", precision="fp32"),),
        artifacts=spec.artifacts, storage=spec.storage, target=target, backoff_limit=retries,
        active_deadline_seconds=seconds, pending_deadline_seconds=pending,
        stall_deadline_seconds=max(spec.active_deadline_seconds, 60),
    )  # fmt: skip


def _digest(order: CompareOrder) -> str:
    return hashlib.sha256(compact(order.model_dump(mode="json"))).hexdigest()[:8]
