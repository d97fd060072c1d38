"""Whether the nodes of the cluster could take an audit's GPU tasks, of those that wait for one."""

from __future__ import annotations

from dataclasses import replace

from assay_api.plan import Task
from assay_operator.audits.observed import Observed
from assay_operator.audits.pods import pod_template
from assay_operator.audits.run import Refused, run_of
from assay_operator.objects.fits import Wish, fit
from assay_operator.objects.kind import Asks
from assay_operator.objects.nodes import Gpus
from assay_operator.objects.raw import Manifest
from assay_operator.settings import Settings


def wants_nodes(observed: Observed) -> Asks:
    """Whether a GPU task waits for a node, or will."""
    return "known" if _waiting(observed) else ""


def with_fits(observed: Observed, gpus: Gpus | None, settings: Settings) -> Observed:
    """The same, with what the nodes mean for the GPU tasks that wait."""
    if gpus is None or gpus.refused:
        return observed
    found = {task.key: fit(wish_of(task, settings), gpus) for task in _waiting(observed)}
    return replace(observed, fits={key: each for key, each in found.items() if each})


def wish_of(task: Task, settings: Settings) -> Wish:
    """What a task's Pod wants of a node."""
    pod: Manifest = pod_template({}, task, settings, recovery=False, reports={})["spec"]
    resources = pod["containers"][0]["resources"]
    tolerations = (
        (t.get("key"), t.get("operator") or "Equal", t.get("value"), t.get("effect"))
        for t in pod.get("tolerations", ())
    )
    return Wish(
        resources={
            **resources.get("requests", {}),
            **{k: v for k, v in resources.get("limits", {}).items() if "/" in k},
        },
        selector=pod.get("nodeSelector", {}),
        tolerations=tuple(tolerations),
        affinity=bool(pod.get("affinity")),
    )


def _waiting(observed: Observed) -> list[Task]:
    """GPU tasks that have no Job yet, or a Pod that no node has taken."""
    audit = observed.audit
    run = None if audit.complete or audit.deleting else run_of(audit)
    if run is None or isinstance(run, Refused) or not any(task.gpus for task in run.tasks):
        return []
    made = {job.task for job in observed.jobs if job.owner == audit.uid}
    unscheduled = {pod.task for pod in observed.pods if pod.unscheduled is not None and not pod.over}
    return [task for task in run.tasks if task.gpus and (task.digest not in made or task.digest in unscheduled)]
