"""Where nodes of a screening stand, what is said of them, and what a thousand of them cost: pure."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from assay_api.gpu_screening import MOST_NODES
from assay_api.gpu_screening_status import ScreenStatus
from assay_api.model import to_wire
from assay_api.names import LABEL_GPU_PRODUCT, STATUS_BYTES, TERMINATION_MESSAGE_BYTES
from assay_api.plan import Task
from assay_api.result import TaskResult, to_termination_message
from assay_api.screen_orders import FleetTold, GpuTold
from assay_operator.objects.children import Job, Pod
from assay_operator.objects.decision import Decision
from assay_operator.objects.nodes import Gpus, Node
from assay_operator.objects.queued import Queued
from assay_operator.objects.raw import compact
from assay_operator.objects.resources import JOBS, PODS
from assay_operator.objects.seen import Seen
from assay_operator.screenings.reconcile import reconcile, wants_nodes
from assay_operator.screenings.screening import Screening
from assay_operator.settings import Settings

PRODUCT = "NVIDIA-L4"
NOW = datetime(2026, 1, 1, tzinfo=UTC)
SETTINGS = Settings(runner_image="runner")
SPEC: dict[str, Any] = {
    "plan": {"uri": "s3://engines/bert.plan"},
    "target": {"gpuProducts": [PRODUCT]},
    "artifacts": {"uri": "s3://audits/"},
}


class World:
    """A screening on some nodes, whose Jobs end as they are told."""

    def __init__(self, nodes: int, name: str = "node-{}", **spec: Any) -> None:
        self.names = [name.format(number) for number in range(nodes)]
        self.raw: dict[str, Any] = {
            "metadata": {
                "namespace": "team", "name": "l4", "uid": "11111111-2222", "generation": 1, "resourceVersion": "1",
                "creationTimestamp": "2026-01-01T00:00:00Z",
            },
            "spec": {**SPEC, **spec},
        }  # fmt: skip
        self.now = NOW
        self.jobs: dict[str, Job] = {}
        self.tasks: dict[str, Task] = {}
        self.results: dict[str, str] = {}
        self.pods: list[Pod] = []
        self.queued: dict[str, Queued] = {}
        self.refused, self.cordoned = "", False

    def seen(self) -> Seen:
        gpu = {"nvidia.com/gpu": "8"}
        nodes = [Node(name, {LABEL_GPU_PRODUCT: PRODUCT}, gpu, gpu, cordoned=self.cordoned) for name in self.names]
        gpus = Gpus(refused=self.refused) if self.refused else Gpus.of(nodes)
        children = {JOBS: tuple(self.jobs.values()), PODS: tuple(self.pods)}
        return Seen(Screening.of(self.raw), children, results=self.results, nodes=gpus, queued=self.queued)

    def step(self) -> Decision[ScreenStatus]:
        """One pass, carried out."""
        seen = self.seen()
        decision = reconcile(seen, self.now, SETTINGS)
        for manifest in decision.create:
            labels, name = manifest["metadata"]["labels"], manifest["metadata"]["name"]
            (env,) = (
                each
                for each in manifest["spec"]["template"]["spec"]["containers"][0]["env"]
                if each["name"] == "ASSAY_TASK"
            )
            self.jobs[name] = Job(
                name, f"uid-{name}", "1", seen.parent.uid, labels["assay.dev/run"], labels["assay.dev/task"], self.now,
                started=None if manifest["spec"].get("suspend") else self.now, kind=labels["assay.dev/kind"],
                queue=labels.get("kueue.x-k8s.io/queue-name"), suspended=manifest["spec"].get("suspend", False),
            )  # fmt: skip
            self.tasks[name] = Task.model_validate_json(env["value"])
        for ref in decision.delete:
            self.jobs.pop(ref.name, None)
        if decision.status is not None:
            self.raw["status"] = to_wire(decision.status)
        self.now += timedelta(seconds=11)
        return decision

    def answer(self, kind: str, **result: Any) -> None:
        """Answer every open Job of a kind."""
        for name, job in self.jobs.items():
            if job.kind == kind and job.uid not in self.results:
                order = self.tasks[name].screen
                told = {"screened": {"node": order.node, "devices": order.gpus}} if order else {}
                self.results[job.uid] = json.dumps({"task": job.task, **told, **result})

    @property
    def status(self) -> ScreenStatus:
        return ScreenStatus.model_validate_json(json.dumps(self.raw["status"]))


def test_a_thousand_nodes_cost_little_and_fit_into_a_status() -> None:
    world = World(MOST_NODES, "ip-10-0-0-{}.us-west-2.compute.internal", maxParallel=MOST_NODES)
    world.step()
    assert len(world.jobs) == MOST_NODES
    began = time.process_time()
    world.step()
    # A pass over all of them; it holds up whatever else the operator does.
    assert time.process_time() - began < 3
    world.answer("screen")
    world.step()
    (compare,) = (name for name, job in world.jobs.items() if job.kind == "compare")
    order = world.tasks[compare].compare
    assert order is not None
    assert len(order.scans) == MOST_NODES
    gpu = {"node": "n" * 250, "device": "GPU-" + "0" * 36, "message": "m" * 160}
    world.answer("compare", verdict="Failed", report={"uri": "s3://a/screen.json", "sha256": "0" * 64},
                 fleet={"scanned": 8000, "named": 20, "wrong": [gpu] * 16, "doubtful": [gpu] * 16})  # fmt: skip
    world.step()
    assert world.status.finished == f"{MOST_NODES}/{MOST_NODES}"
    assert len(compact(world.raw["status"])) <= STATUS_BYTES
    assert world.jobs == {}
    assert world.step().status is None
    assert wants_nodes(world.seen(), world.now) == ""


def test_one_more_than_that_is_refused_with_the_way_out() -> None:
    world = World(MOST_NODES + 1)
    world.step()
    assert world.jobs == {}
    assert "1001 nodes have NVIDIA-L4, and a screening takes 1000" in world.status.conditions[0].message


def test_the_answer_about_all_nodes_fits_into_a_termination_message() -> None:
    gpu = GpuTold(node="n" * 253, device="GPU-" + "0" * 36, message="m" * 160)
    names = tuple(f"{number:0>253}" for number in range(32))
    told = FleetTold(wrong=(gpu,) * 16, doubtful=(gpu,) * 16, again=names[:16], bad_nodes=names, unclear_nodes=names)
    text = to_termination_message(TaskResult(task="t", fleet=told, message="m" * 2000))
    assert len(text.encode()) <= TERMINATION_MESSAGE_BYTES
    back = TaskResult.model_validate_json(text).fleet
    assert back is not None
    assert back.wrong
    assert back.again


def test_a_node_that_went_away_after_it_was_screened_counts_and_one_before_does_not() -> None:
    world = World(3)
    world.step()
    world.answer("screen")
    gone, *world.names = world.names
    world.step()
    (order,) = (task.compare for task in world.tasks.values() if task.compare)
    assert gone in order.scans
    world = World(3)
    world.step()
    gone, *world.names = world.names
    world.step()
    assert {task.screen.node for name, task in world.tasks.items() if name in world.jobs and task.screen} == set(
        world.names
    )


def test_a_node_that_comes_late_is_screened_and_all_is_compared_anew() -> None:
    world = World(2)
    world.step()
    world.answer("screen")
    world.step()
    world.names.append("late")
    world.step()
    assert world.status.finished == "2/3"
    world.answer("screen")
    world.step()
    orders = [task.compare for task in world.tasks.values() if task.compare]
    assert [len(order.scans) for order in orders] == [2, 3]


def in_a_queue(nodes: int = 2, **spec: Any) -> World:
    world = World(nodes, pendingDeadlineSeconds=60, **spec)
    names = {"kueue.x-k8s.io/queue-name": "team", "kueue.x-k8s.io/priority-class": "low"}
    world.raw["metadata"]["labels"] = names
    (job, *_) = world.step().create
    assert job["spec"]["suspend"] is True
    assert {key: job["metadata"]["labels"][key] for key in names} == names
    assert not names.keys() & job["spec"]["template"]["metadata"]["labels"].keys()
    return world


def test_in_a_queue_it_waits_for_room_as_long_as_that_takes_and_says_so() -> None:
    world = in_a_queue()
    first, second = world.jobs
    world.queued = {world.jobs[second].uid: Queued("insufficient unused quota for nvidia.com/gpu", False, NOW)}
    world.now += timedelta(days=1)
    world.step()
    ready = world.status.conditions[0]
    assert (ready.reason, world.status.phase) == ("Pending", "Pending")
    assert ready.message == (
        "0 of 2 nodes done, 0 being screened, 2 waiting. node-0 is queued in team: Kueue starts it when there is room."
    )
    told = {each.node: each.message for each in world.status.unscanned}
    assert told["node-1"] == "is queued in team: insufficient unused quota for nvidia.com/gpu"
    # From when it is admitted on its GPUs have the time that they always have.
    world.jobs[first] = replace(world.jobs[first], suspended=False, started=world.now)
    assert world.step().patch == ()
    assert "waits until all of its 8 GPUs are free" in world.status.conditions[0].message
    world.now += timedelta(seconds=60)
    assert [ref.name for ref, _ in world.step().patch] == [first]


def test_what_keeps_it_in_a_queue_for_good_has_the_node_skipped_after_a_while() -> None:
    world = in_a_queue()
    first, second = world.jobs
    wrong = Queued("LocalQueue team doesn't exist", True, NOW)
    world.queued = {world.jobs[second].uid: wrong}
    world.step()
    assert {each.node: each.message for each in world.status.unscanned}["node-1"].endswith("doesn't exist")
    world.queued = {world.jobs[each].uid: wrong for each in (first, second)}
    world.step()
    ready = world.status.conditions[0]
    assert (ready.reason, ready.message.partition(";")[0]) == (
        "ConfigError", "node-0: is queued in team: LocalQueue team doesn't exist",
    )  # fmt: skip
    world.now += timedelta(seconds=60)
    world.step()
    assert (world.status.verdict, world.jobs) == ("Inconclusive", {})
    assert world.status.unscanned[0].message == (
        "is queued in team: LocalQueue team doesn't exist (waited 60 s, spec.pendingDeadlineSeconds)"
    )


def test_a_queue_of_another_clusters_has_no_such_node() -> None:
    world = in_a_queue(1)
    (name,) = world.jobs
    world.jobs[name] = replace(world.jobs[name], elsewhere="kueue.x-k8s.io/multikueue")
    world.step()
    assert world.status.unscanned[0].message == (
        "its queue gives Jobs to other clusters, which do not have this node (kueue.x-k8s.io/multikueue): "
        "take another queue"
    )


def test_a_node_is_told_which_plugins_the_plan_needs() -> None:
    world = World(1, plan={"uri": "s3://engines/bert.plan", "plugins": ["/opt/plugins/a.so"]})
    world.step()
    assert [task.screen.plugins for task in world.tasks.values() if task.screen] == [("/opt/plugins/a.so",)]


def test_another_spec_ends_the_run_before() -> None:
    world = World(2)
    world.step()
    old = set(world.jobs)
    world.raw["spec"]["runs"] = 10
    world.raw["metadata"]["generation"] = 2
    world.step()
    assert not old & set(world.jobs)
    assert len(world.jobs) == 2


def test_a_plan_that_cannot_be_used_ends_the_run_before_every_node_has_tried_it() -> None:
    world = World(5, maxParallel=2)
    world.step()
    for name, job in list(world.jobs.items()):
        world.jobs[name] = job_failed(job, world.now)
        error = {"task": job.task, "error": {"reason": "InvalidInput", "message": "s3://engines/bert.plan is no plan"}}
        world.pods.append(Pod(f"{name}-1", f"{name}-1", "1", job.uid, job.task, world.now, phase="Failed", exit_code=64,
                              message=json.dumps(error)))  # fmt: skip
    world.step()
    assert len(world.tasks) == 2
    (complete,) = (each for each in world.status.conditions if each.type == "Complete")
    assert (complete.reason, complete.message) == ("InvalidInput", "node-0: s3://engines/bert.plan is no plan")


def test_a_plan_that_is_not_there_yet_is_told_as_such_in_the_end() -> None:
    world = World(1)
    world.step()
    ((name, job),) = world.jobs.items()
    error = {"reason": "Unavailable", "message": "s3://engines/bert.plan does not exist", "again": "Setup"}
    world.pods.append(Pod(f"{name}-1", f"{name}-1", "1", job.uid, job.task, world.now, phase="Failed", exit_code=75,
                          message=json.dumps({"task": job.task, "error": error})))  # fmt: skip
    world.jobs[name] = replace(job, failed=1)
    world.step()
    (ready,) = (each for each in world.status.conditions if each.type == "Ready")
    assert "s3://engines/bert.plan does not exist" in ready.message
    world.jobs[name] = replace(job_failed(job, world.now), failure="DeadlineExceeded")
    world.step()
    (complete,) = (each for each in world.status.conditions if each.type == "Complete")
    assert complete.message.startswith(
        "none of 1 node could be screened: node-0: s3://engines/bert.plan does not exist"
    )


def test_a_cordoned_node_is_screened_where_that_is_tolerated() -> None:
    tolerations = [{"key": "node.kubernetes.io/unschedulable", "operator": "Exists"}]
    for more, jobs in (({}, 0), ({"tolerations": tolerations}, 1)):
        world = World(1, target={"gpuProducts": [PRODUCT], **more})
        world.cordoned = True
        world.step()
        assert len(world.jobs) == jobs


def test_an_answer_that_went_before_it_was_read_is_asked_for_once_more() -> None:
    world = World(1, maxParallel=1)
    world.step()
    ((name, job),) = world.jobs.items()
    world.jobs[name] = replace(job, succeeded=True, ended=world.now - timedelta(seconds=60))
    (asked,) = world.step().create
    pod = asked["spec"]["template"]["spec"]
    assert asked["metadata"]["name"] == f"{name}-r"
    assert "nvidia.com/gpu" not in str(pod["containers"][0]["resources"])
    # Its own node may be gone; what is stored can be read anywhere.
    assert "affinity" not in pod


def test_an_operator_of_single_namespaces_says_that_it_cannot() -> None:
    world = World(1)
    world.refused = "nodes is forbidden"
    world.step()
    assert "needs the right to list nodes" in world.status.conditions[0].message


def test_a_schedule_begins_runs_named_by_their_time_and_rests_in_between() -> None:
    world = World(1, schedule={"cron": "0 3 * * *"})
    world.step()
    assert (world.jobs, world.status.phase, world.status.next_schedule_time) == ({}, "Pending", "2026-01-01T03:00:00Z")
    (ready,) = (each for each in world.status.conditions if each.type == "Ready")
    assert ready.status == "True"
    world.now = NOW + timedelta(hours=3, seconds=1)
    world.step()
    assert world.status.run is not None
    assert world.status.run.startswith("20260101")
    world.answer("screen")
    world.step()
    world.answer("compare", verdict="Passed", fleet={"scanned": 8, "excludes": "1e-4"})
    world.step()
    assert (world.status.verdict, world.status.next_schedule_time) == ("Passed", "2026-01-02T03:00:00Z")
    decision = world.step()
    assert decision.status is None
    assert decision.requeue_after is not None


def job_failed(job: Job, now: datetime) -> Job:
    return replace(job, failure="PodFailurePolicy", failed=1, ended=now - timedelta(seconds=60))
