"""A task whose Job another controller carries out: MultiKueue, in another cluster.

Kueue sets `spec.managedBy` of a Job in such a queue, gives a copy of it to another cluster and brings that one's status
back. Its Pods are there, and with them what they told. So the answer is read from the artifact store, as where a Pod
went before it was read: by a recovery Job, which is in no queue and runs here.
"""

from __future__ import annotations

from dataclasses import replace

from assay_api.names import Reason
from assay_operator.audits.facts import Facts
from assay_operator.audits.tasks import TaskState
from assay_operator.audits.troubles import Trouble, clean
from assay_operator.objects.children import Job

REFUSED = "PodFailurePolicy"
"""Why a Job failed whose Pod refused its input: the policy of ours that ends one ends it for nothing else."""


def elsewhere(facts: Facts) -> TaskState | None:
    """Its Job goes on elsewhere: what keeps its Pods is not known here, so its own deadline alone ends it."""
    job = facts.job
    if not job.elsewhere:
        return None
    if job.active:
        # What is told of it is no trouble: under this reason it makes no event.
        words = f"runs in another cluster, by {job.elsewhere}: its Pods and their logs are there"
        return TaskState(facts.task, "Running", job=job, retries=job.failed, trouble=Trouble(Reason.PENDING, words))
    words = f"{job.elsewhere} has it in another cluster, where no Pod of it has started yet"
    return TaskState(facts.task, "Pending", job=job, retries=job.failed, trouble=Trouble(Reason.PENDING, words))


def read_here(state: TaskState) -> TaskState:
    """The state of a task whose answer was written elsewhere, and is read here."""
    words = "reading its stored report, for it ran in another cluster"
    return replace(state, here=True, trouble=Trouble(Reason.PENDING, words))


def left_to_their_own(facts: Facts) -> TaskState:
    """The state of what went ahead of several, elsewhere: which of them it has answered only its Pod told.

    To do it again here would try those that it left, on a machine without their GPU. So each gets a Job of its own,
    which takes the report that is stored.
    """
    return TaskState(facts.task, "Finished")


def failed_elsewhere(job: Job) -> Trouble:
    """Why a Job failed in another cluster, as far as its status tells."""
    reason = Reason.INVALID_INPUT if job.failure == REFUSED else Reason.ERROR
    why = "it refused its input" if job.failure == REFUSED else job.failure_message or f"it failed ({job.failure})"
    where = f"look at the logs of Job {job.name} in the cluster that {job.elsewhere} gave it to"
    return Trouble(reason, f"{clean(why)}: {where}")
