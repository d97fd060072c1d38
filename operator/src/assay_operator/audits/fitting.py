"""Whether the nodes of the cluster could take an audit's GPU tasks, of those that wait for one."""

from __future__ import annotations

from dataclasses import replace

from assay_api.names import LABEL_GPU_PRODUCT
from assay_api.plan import Task
from assay_operator.audits.observed import Observed
from assay_operator.audits.pods import placing, resources
from assay_operator.audits.run import Refused, run_of
from assay_operator.objects.fits import Wish, fit
from assay_operator.objects.kind import Asks
from assay_operator.objects.nodes import Gpus
from assay_operator.settings import Settings


def wants_nodes(observed: Observed) -> Asks:
    """Whether a GPU task waits for a node, or will."""
    return "known" if _waiting(observed) else ""


def with_fits(observed: Observed, gpus: Gpus | None, settings: Settings) -> Observed:
    """The same, with what the nodes mean for the GPU tasks that wait."""
    if gpus is None or gpus.refused:
        return observed
    waiting = _waiting(observed)
    # Tasks of one product and as many GPUs want the same.
    kinds = {_kind(task): task for task in waiting}
    found = {kind: fit(wish_of(task, settings), gpus) for kind, task in kinds.items()}
    return replace(observed, fits={task.key: each for task in waiting if (each := found[_kind(task)])})


def wish_of(task: Task, settings: Settings) -> Wish:
    """What a task's Pod wants of a node."""
    place, wanted = placing(task.spec.target, settings.pods), resources(task, settings.pods, recovery=False)
    product = {LABEL_GPU_PRODUCT: task.gpu_product} if task.gpu_product else {}
    tolerations = (
        (t.get("key"), t.get("operator") or "Equal", t.get("value"), t.get("effect")) for t in place["tolerations"]
    )
    return Wish(
        # Of extended resources requests are limits.
        resources=wanted["requests"] | {name: n for name, n in wanted.get("limits", {}).items() if "/" in name},
        selector=place["nodeSelector"] | product,
        tolerations=tuple(tolerations),
        affinity=bool(place["affinity"]),
    )


def _kind(task: Task) -> tuple[str | None, int]:
    return task.gpu_product, task.gpus


def _waiting(observed: Observed) -> list[Task]:
    """GPU tasks that have no Job yet, or a Pod that no node has taken."""
    audit = observed.audit
    run = None if audit.complete or audit.deleting or audit.foreign else run_of(audit)
    if run is None or isinstance(run, Refused) or not any(task.gpus for task in run.tasks):
        return []
    made = {job.task for job in observed.jobs if job.owner == audit.uid}
    unscheduled = {pod.task for pod in observed.pods if pod.unscheduled is not None and not pod.over}
    return [task for task in run.tasks if task.gpus and (task.digest not in made or task.digest in unscheduled)]
