"""What is decided about sweeps, run by run: what is audited, what is not, what is told of it."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from assay_api.names import STATUS_BYTES
from assay_operator.sweeps import models as looking
from assay_operator.sweeps.kind import SWEEPS
from tests.reconcile.cases import SETTINGS
from tests.reconcile.sweeps import World, condition
from tests.unit.api.sweeps import TEMPLATE, found

# Two models; fp16 and int8 on two products, cpu on none: 10 cells in 6 audits.
CELLS, AUDITS = 10, 6


def test_a_run_audits_every_cell_and_tells_of_them() -> None:
    world = World.of()
    assert world.run({"vit/int8@NVIDIA-L4": "Failed", "bert/cpu": "Inconclusive"}) == AUDITS
    told = world.status
    assert (told.counts.cells, told.counts.passed, told.counts.failed, told.counts.inconclusive) == (CELLS, 8, 1, 1)
    assert [(w.model, w.candidate, w.verdict) for w in told.worst] == [
        ("vit", "int8", "Failed"),
        ("bert", "cpu", "Inconclusive"),
    ]
    assert told.gpu_seconds == 8 * 100
    assert condition(world, "Complete")["message"] == "8 passed, 1 failed, 1 inconclusive of 10 cells"
    assert condition(world, "Stalled")["status"] == "True"
    assert world.jobs == {}


def test_at_rest_nothing_is_decided_or_written() -> None:
    world = World.of()
    world.run()
    writes = world.writes
    world.settle()
    assert world.writes == writes
    assert world.step().requeue_after is None


@pytest.mark.parametrize("changed", [0, 1, 5])
def test_only_cells_whose_content_has_changed_cost_anything(changed: int) -> None:
    models = tuple(found(f"m{n:03}", f"{n:016x}") for n in range(500))
    world = World.of(models=None, modelPrefix={"uri": "s3://models/"}, maxParallel=256, schedule={"cron": "0 2 * * *"})
    world.models, world.now = models, datetime(2026, 3, 1, 2, tzinfo=UTC)
    first = world.run()
    assert (first, world.status.counts.cells) == (1500, 2500)
    spent = world.status.gpu_seconds
    # The night after, one in a hundred models has changed.
    world.models = tuple(found(m.name, "f" * 15 + str(n)) if n < changed else m for n, m in enumerate(models))
    world.now = datetime(2026, 3, 2, 2, tzinfo=UTC)
    assert world.run() == 3 * changed
    assert world.status.run == "20260302T0200Z"
    assert world.status.counts.unchanged == 2500 - 5 * changed
    assert world.status.gpu_seconds == (spent or 0) * changed // 500


def test_ten_thousand_cells_leave_a_small_status() -> None:
    names = [f"{n:04}-{'ü' * 100}" for n in range(1000)]
    template = [{**TEMPLATE["candidates"][0], "name": f"{'x' * 36}-{n}"} for n in range(5)]
    world = World.of(
        models=None, modelPrefix={"uri": "s3://models/"}, maxParallel=256, images=["r:1" * 60, "r:2" * 60],
        template__candidates=template, template__target={},
    )  # fmt: skip
    world.models = tuple(found(name, f"{n:016x}") for n, name in enumerate(names))
    failed = {f"{name}\n{image}/{c['name']}": "Failed" for name in names[:900] for image in ("r:1" * 60, "r:2" * 60)
              for c in template}  # fmt: skip
    world.run(failed)
    assert world.status.counts.cells == 10_000
    assert world.status.counts.failed == 9_000
    assert len(json.dumps(world.raw["status"]).encode()) <= STATUS_BYTES
    assert len(world.status.worst) == 10
    seen = world.seen()
    began = time.process_time()
    SWEEPS.reconcile(seen, world.now, SETTINGS)
    assert time.process_time() - began < 2


BELOW = {"models": None, "modelPrefix": {"uri": "s3://models/"}, "maxParallel": 256}


@pytest.mark.parametrize("count", [600, 601])
def test_more_models_than_jobs_can_look_at_are_said_and_none_of_them_passes(
    count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A Job of these tests tells 300 models.
    monkeypatch.setattr(looking, "MOST_PAGES", 2)
    world = World.of(**BELOW, template__candidates=TEMPLATE["candidates"][2:], template__target={})
    world.models = tuple(found(f"m{n:04}", f"{n:016x}") for n in range(count))
    made = world.run()
    told = condition(world, "Complete")
    assert world.jobs == {}
    if count == 600:
        assert (made, told["reason"], world.status.verdict) == (600, "Passed", "Passed")
        return
    assert (made, told["reason"], world.status.verdict, world.status.phase) == (0, "InvalidInput", None, "Stalled")
    assert told["message"].startswith(
        "2 Jobs, the most there are for one run, have found 600 models, and there are more;"
    )
    assert (
        "split the sweep, by spec.modelPrefix.uri or spec.modelPrefix.match" in condition(world, "Stalled")["message"]
    )
    # What a run comes to is no matter of how often it is looked at.
    world.settle()
    assert (world.made, world.jobs) == ([], {})


def test_models_that_are_deleted_while_others_are_looked_at_are_waited_for_by_nobody() -> None:
    world = World.of(**BELOW, template__candidates=TEMPLATE["candidates"][2:], template__target={})
    world.models = tuple(found(f"m{n:04}", f"{n:016x}") for n in range(301))
    world.step()
    world.models = world.models[:300]
    assert world.run() == 300
    assert (world.status.models, world.status.verdict) == (300, "Passed")


def test_a_leader_that_dies_between_any_two_writes_makes_nothing_twice() -> None:
    world = World.of(maxParallel=2)
    for _ in range(200):
        world.now += timedelta(seconds=1)
        world.step(write=False)
        world.step(write=False)
        world.now += timedelta(seconds=11)
        world.step()
        world.end(world.going[:1])
        if world.status.completion_time:
            break
    assert len(world.made) == len(set(world.made)) == AUDITS


def test_a_cell_that_failed_and_passed_before_has_regressed() -> None:
    world = World.of()
    world.run({"vit/cpu": "Failed"})
    world.models = tuple(replace_inputs(world, "c"))
    world.annotate(rerun_failed="1")
    world.run({"bert/fp16@NVIDIA-L4": "Failed", "vit/cpu": "Failed"})
    assert (world.status.counts.failed, world.status.counts.regressed) == (2, 1)
    assert [(w.model, w.candidate, w.regressed) for w in world.status.worst] == [
        ("bert", "fp16", True),
        ("vit", "cpu", False),
    ]


def replace_inputs(world: World, digit: str) -> list[Any]:
    return [model.model_copy(update={"inputs": digit * 15 + str(n)}) for n, model in enumerate(world.models)]


def test_no_answer_is_asked_for_again_once_a_run() -> None:
    world = World.of(schedule={"cron": "0 2 * * *"})
    world.now = datetime(2026, 3, 1, 2, tzinfo=UTC)
    assert world.run({"bert/cpu": "Error"}) == AUDITS
    assert condition(world, "Complete")["reason"] == "Error"
    assert world.status.counts.errors == 1
    world.now = datetime(2026, 3, 2, 2, tzinfo=UTC)
    assert world.run({"bert/cpu": "Error"}) == 1
    world.now = datetime(2026, 3, 3, 2, tzinfo=UTC)
    assert world.run() == 1
    assert world.status.verdict == "Passed"
    assert [run.name for run in world.status.history] == ["20260303T0200Z", "20260302T0200Z", "20260301T0200Z"]


def test_annotations_ask_for_what_did_not_pass_or_for_everything() -> None:
    world = World.of()
    world.run({"bert/cpu": "Failed"})
    world.annotate(rerun_failed="1")
    assert world.run({"bert/cpu": "Failed"}) == 1
    world.settle()
    world.annotate(rerun_failed="2")
    assert world.run() == 1
    world.annotate(rerun_failed="3")
    assert world.run() == 0
    world.annotate(rerun="1")
    assert world.run() == AUDITS


@pytest.mark.parametrize(("limit", "kept"), [(0, 6), (1, 12), (2, 18)])
def test_earlier_audits_are_kept_as_far_as_asked(limit: int, kept: int) -> None:
    world = World.of(historyLimit=limit)
    for number, digit in enumerate("cdef"):
        world.models = tuple(replace_inputs(world, digit))
        world.annotate(rerun_failed=str(number))
        world.run()
    assert len(world.audits) == kept


def test_an_answer_stays_until_the_next_one_is_there() -> None:
    world = World.of(historyLimit=0)
    world.run()
    world.change(historyLimit=0, budget={"gpuHours": 0.1})
    world.annotate(rerun="1")
    assert world.run() == 0
    assert condition(world, "Complete")["reason"] == "OverBudget"
    assert len(world.audits) == AUDITS


def test_audits_of_models_that_have_gone_go() -> None:
    world = World.of(models=None, modelPrefix={"uri": "s3://models/"})
    world.run()
    world.models = world.models[:1]
    world.annotate(rerun_failed="1")
    world.run()
    assert len(world.audits) == AUDITS // 2
    assert world.status.models == 1


def test_a_new_spec_gives_up_what_nobody_asks_for_any_more() -> None:
    world = World.of(maxParallel=100)
    for _ in range(3):
        world.now += timedelta(seconds=11)
        world.step()
    assert len(world.going) == AUDITS
    world.change(template__checks=[{"finite": {}}], maxParallel=100)
    assert world.run() == AUDITS
    assert world.status.counts.passed == CELLS
