"""Which image a task ran: of the Pod that did the work, and of no other."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from assay_operator.audits.images import images_run
from assay_operator.audits.observed import Observed
from assay_operator.objects.children import Job, Pod
from tests.unit.operator.test_jobs import audit, task

THEN = datetime(2026, 1, 1, tzinfo=UTC)
FIRST, SECOND = (f"registry.example/assay-runner@sha256:{digit * 64}" for digit in "12")


def test_it_is_told_of_the_first_pod_that_succeeded() -> None:
    of = audit()
    golden, cpu, gpu = (task(of, key) for key in ("golden", "cpu", "gpu"))
    pods, jobs = [], []
    for number, (each, phase, image) in enumerate([
        (golden, "Succeeded", FIRST), (cpu, "Failed", FIRST), (cpu, "Succeeded", SECOND), (cpu, "Succeeded", FIRST),
        (gpu, "Running", FIRST),
    ]):  # fmt: skip
        uid = f"j{number}"
        jobs.append(Job(uid, uid, "1", owner=of.uid, run=each.run, task=each.digest, created=THEN))
        when = THEN + timedelta(seconds=number)
        pods.append(Pod(uid, f"p{number}", "1", job=uid, task=each.digest, created=when, phase=phase, image_id=image))
    seen = Observed(of, tuple(jobs), tuple(reversed(pods)))
    assert images_run(seen, (golden, cpu, gpu)) == {FIRST: ["golden"], SECOND: ["cpu"]}
    # A kubelet that tells none, and a Pod that only looks like the task's.
    silent = replace(seen, pods=tuple(replace(pod, image_id="") for pod in pods))
    assert images_run(silent, (golden, cpu, gpu)) == {}
    foreign = replace(seen, pods=tuple(replace(pod, job="another") for pod in pods))
    assert images_run(foreign, (golden, cpu, gpu)) == {}


def test_what_went_ahead_of_several_is_told_of_each_that_it_answered() -> None:
    two = [{"name": name, "backend": "tensorrt", "precision": name} for name in ("fp16", "bf16")]
    of = audit(candidates=two, candidatesPerJob=2)
    keys = ("golden", "together_1", "fp16", "bf16")
    tasks = {key: task(of, key) for key in keys}
    jobs, pods = [], []
    # One of the two was asked again, by a Job of its own with another image: that one did the work.
    for key, image in (("golden", FIRST), ("together_1", FIRST), ("bf16", SECOND)):
        each = tasks[key]
        jobs.append(Job(key, key, "1", owner=of.uid, run=each.run, task=each.digest, created=THEN))
        pods.append(Pod(key, key, "1", job=key, task=each.digest, created=THEN, phase="Succeeded", image_id=image))
    seen = Observed(of, tuple(jobs), tuple(pods))
    assert images_run(seen, tuple(tasks.values())) == {FIRST: ["golden", "fp16"], SECOND: ["bf16"]}
