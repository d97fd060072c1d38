"""Runs of sweeps: targets and drivers, budgets, schedules, and when a status is written."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from assay_operator.objects.nodes import Gpu, Gpus, Node, gpus_of
from tests.reconcile.sweeps import World, condition
from tests.reconcile.test_sweeps import AUDITS, CELLS


def test_a_run_goes_by_the_drivers_it_began_with_and_the_next_one_by_new_ones() -> None:
    world = World.of(schedule={"cron": "0 2 * * *"}, maxParallel=1)
    world.now = datetime(2026, 3, 1, 2, tzinfo=UTC)
    world.step()
    assert [(t.gpu_product, t.driver, t.nodes) for t in world.status.targets] == [
        ("NVIDIA-H200", "570.1", 4), ("NVIDIA-L4", "570.1", 8),
    ]  # fmt: skip
    world.gpus = Gpus((Gpu("NVIDIA-H200", "580.2", 4), Gpu("NVIDIA-L4", "570.1", 8)))
    assert world.run() == AUDITS
    world.now = datetime(2026, 3, 2, 2, tzinfo=UTC)
    assert world.run() == 2


def test_where_nodes_may_not_be_listed_products_that_are_named_will_do() -> None:
    world = World.of()
    world.gpus = Gpus(refused="nodes is forbidden")
    assert world.run() == AUDITS
    assert [(t.driver, t.nodes) for t in world.status.targets] == [(None, None)] * 2
    world = World.of(fleet=True, template__target=None)
    world.gpus = Gpus(refused="nodes is forbidden")
    world.settle()
    assert condition(world, "Stalled")["message"].startswith("fleet needs the right to list nodes")


def test_a_fleet_larger_than_a_status_holds_is_refused() -> None:
    world = World.of(fleet=True, template__target=None)
    world.gpus = Gpus(tuple(Gpu(f"GPU-{n}") for n in range(33)))
    world.settle()
    assert "33 GPU products, more than 32" in condition(world, "Stalled")["message"]


LABELS = {"nvidia.com/gpu.product": "L4"}


@pytest.mark.parametrize(
    ("labels", "driver"),
    [
        ([LABELS], ""),
        ([LABELS | {"nvidia.com/cuda.driver-version.full": "570.86"}], "570.86"),
        ([LABELS | {"nvidia.com/cuda.driver.major": "570", "nvidia.com/cuda.driver.minor": "86"}], "570.86"),
        ([LABELS | {"nvidia.com/cuda.driver-version.full": v} for v in ("580.1", "570.86", "580.1")], "570.86,580.1"),
    ],
)
def test_drivers_are_told_by_the_labels_of_nodes(labels: list[dict[str, str]], driver: str) -> None:
    nodes = [Node(f"n{index}", each) for index, each in enumerate([*labels, {"other": "x"}])]
    assert gpus_of(nodes) == (Gpu("L4", driver, len(labels)),)


def test_a_budget_begins_what_it_pays_for_and_goes_on_with_the_next_run() -> None:
    halt = {"gpuHours": 450 / 3600, "whenOver": "Halt"}
    world = World.of(budget=halt, maxParallel=1, schedule={"cron": "0 2 * * *"})
    world.now = datetime(2026, 3, 1, 2, tzinfo=UTC)
    # 200 GPU seconds an audit on a GPU, nothing on a CPU; bert's three come first, then one of vit's does not fit.
    world.run()
    told = world.status
    assert (told.gpu_seconds, told.counts.over_budget) == (400, 5)
    assert condition(world, "Complete")["reason"] == "OverBudget"
    assert told.verdict == "Inconclusive"
    world.now = datetime(2026, 3, 2, 2, tzinfo=UTC)
    world.run()
    assert (world.status.verdict, world.status.gpu_seconds, world.status.counts.unchanged) == ("Passed", 400, 5)


def test_what_runs_is_reckoned_with_before_more_is_begun() -> None:
    world = World.of(budget={"gpuHours": 450 / 3600, "whenOver": "Halt"}, maxParallel=100)
    world.run()
    world.annotate(rerun="1")
    for _ in range(4):
        world.now += timedelta(seconds=11)
        world.step()
    on_gpus = [a for a in world.going if world.audits[a]["spec"]["target"].get("gpuProducts")]
    assert len(on_gpus) == 2


def test_too_dear_a_run_is_not_begun_and_a_larger_budget_lets_it() -> None:
    world = World.of()
    world.run()
    world.change(budget={"gpuHours": 0.1})
    world.annotate(rerun="1")
    assert world.run() == 0
    assert "10 cells have changed and would take 0.222 GPU hours" in condition(world, "Complete")["message"]
    assert world.status.counts.over_budget == CELLS
    world.change(budget={"gpuHours": 1})
    assert world.run() == AUDITS
    assert world.status.verdict == "Passed"


def test_a_suspended_sweep_makes_nothing_and_holds_what_there_is() -> None:
    world = World.of(suspend=True)
    world.settle()
    assert (world.jobs, world.audits, world.status.phase) == ({}, {}, "Suspended")
    world.change(maxParallel=2)
    for _ in range(3):
        world.now += timedelta(seconds=11)
        world.step()
    assert len(world.going) == 2
    world.change(suspend=True, maxParallel=2)
    world.settle()
    assert all(audit["spec"]["suspend"] for audit in world.audits.values())
    world.change(maxParallel=2)
    assert world.run() == AUDITS - 2
    assert not any(audit["spec"].get("suspend") for audit in world.audits.values())


def test_while_only_counts_change_the_status_is_written_now_and_then() -> None:
    world = World.of(maxParallel=1)
    for _ in range(3):
        world.now += timedelta(seconds=11)
        world.step()
    writes = world.writes
    for _ in range(3):
        world.now += timedelta(seconds=1)
        world.end(world.going)
        decision = world.step()
        assert decision.status is not None or 0 < (decision.requeue_after or 0) <= 10
    assert world.writes <= writes + 1


def test_a_schedule_waits_ready_and_looks_again_in_time() -> None:
    world = World.of(schedule={"cron": "0 2 * * *"})
    decision = world.step()
    assert (condition(world, "Ready")["status"], condition(world, "Reconciling")["status"]) == ("True", "False")
    assert condition(world, "Ready")["message"] == "The next run begins at 2026-03-01T02:00:00Z."
    assert decision.requeue_after == 3600
    world.now = datetime(2026, 3, 1, 1, 59, tzinfo=UTC)
    assert world.step().requeue_after == pytest.approx(60.5)
    world.now = datetime(2026, 3, 1, 2, 0, 1, tzinfo=UTC)
    world.run()
    assert (world.status.run, world.status.last_schedule_time) == ("20260301T0200Z", "2026-03-01T02:00:00Z")


def test_a_run_that_is_still_going_is_followed_by_the_latest_that_was_missed() -> None:
    world = World.of(schedule={"cron": "0 * * * *"}, maxParallel=1)
    world.now = datetime(2026, 3, 1, 2, tzinfo=UTC)
    world.step()
    world.now = datetime(2026, 3, 1, 5, 30, tzinfo=UTC)
    world.run()
    world.run()
    assert world.status.run == "20260301T0500Z"
    # 01:00 was before anybody looked, 03:00 and 04:00 while the run of 02:00 went on.
    assert world.status.missed_runs == 3
    assert len(world.made) == AUDITS


def test_a_spec_that_cannot_be_run_is_told_and_mended() -> None:
    world = World.of()
    world.run({"bert/cpu": "Failed"})
    world.change(schedule={"cron": "61 * * * *"})
    world.settle()
    assert condition(world, "Stalled")["reason"] == "InvalidInput"
    world.change()
    assert world.run() == 0
    assert world.status.counts.failed == 1
