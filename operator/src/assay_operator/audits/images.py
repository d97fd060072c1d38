"""Which image each task really ran, by digest, as its node's kubelet tells."""

from __future__ import annotations

from collections.abc import Sequence

from assay_api.plan import Task
from assay_operator.audits.observed import Observed


def images_run(observed: Observed, tasks: Sequence[Task]) -> dict[str, list[str]]:
    """Keys of tasks by the image that they ran, of Pods that succeeded and are still there.

    A task that was asked again has Pods of two Jobs: the first that succeeded did the work. Where that was in another
    cluster, its image is not known.
    """
    away = {job.task for job in observed.jobs if job.elsewhere}
    jobs = {job.uid: job.task for job in observed.jobs if job.task not in away}
    ran: dict[str, str] = {}
    for pod in sorted(observed.pods, key=lambda pod: pod.created):
        if pod.phase == "Succeeded" and pod.image_id:
            ran.setdefault(jobs.get(pod.job, ""), pod.image_id)
    ahead = {key: each.digest for each in tasks for key in each.together}
    found: dict[str, list[str]] = {}
    for task in tasks:
        if task.together:
            continue  # It is told of those that it answered.
        if image := ran.get(task.digest) or ran.get(ahead.get(task.key, "")):
            found.setdefault(image, []).append(task.key)
    return found
