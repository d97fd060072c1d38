"""When a sweep may look at its models, and what its annotations ask for."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from assay_api.model import to_wire
from assay_api.sweep import SweepSpec
from assay_operator.objects.decision import Decision
from assay_operator.objects.line import Turn
from assay_operator.sweeps.kind import SWEEPS
from assay_operator.sweeps.run import meaning
from tests.reconcile.cases import SETTINGS
from tests.reconcile.sweeps import World
from tests.reconcile.test_sweeps import AUDITS


def with_turn(world: World, free: int) -> Decision[Any]:
    seen = replace(world.seen(), turn=Turn(free, "at most 1 at once run in this namespace"))
    return SWEEPS.reconcile(seen, world.now, SETTINGS)


def test_the_look_at_the_models_waits_for_its_turn_and_audits_do_not() -> None:
    world = World.of(template__priority=7)
    held = with_turn(world, 0)
    assert (held.create, held.starts, held.waits, held.priority) == ((), 0, 1, 7)
    assert held.status is not None
    said = {c["type"]: c["message"] for c in to_wire(held.status)["conditions"]}
    assert said["Ready"].startswith("models: waits for its turn: at most 1 at once run in this namespace")
    first = with_turn(world, 1)
    assert (len(first.create), first.starts, first.waits) == (1, 1, 0)
    world.step()
    making = with_turn(world, 0)
    # An audit runs nothing itself: its tasks wait, each for its own turn.
    assert [manifest["kind"] for manifest in making.create] == ["AccuracyAudit"] * len(making.create) != []
    assert (making.starts, making.waits) == (0, 0)


def test_in_a_queue_of_kueue_s_it_waits_for_kueue_alone() -> None:
    world = World.of()
    world.raw["metadata"].setdefault("labels", {})["kueue.x-k8s.io/queue-name"] = "gpus"
    assert len(with_turn(world, 0).create) == 1


def test_one_that_another_carries_out_is_left_alone_for_as_long_as_it_is() -> None:
    world = World.of(managedBy="x.example/other")
    world.settle()
    assert (world.writes, world.jobs, world.audits) == (0, {}, {})
    run = meaning(parsed_spec(managedBy="assay.dev/operator"))
    assert run == meaning(parsed_spec())
    world.raw["spec"]["managedBy"] = "assay.dev/operator"
    assert world.run() == AUDITS


def parsed_spec(**changes: Any) -> SweepSpec:
    return SweepSpec.model_validate_json(json.dumps(World.of(**changes).raw["spec"]))


@pytest.mark.parametrize("spec", [{}, {"schedule": {"cron": "0 2 * * *"}}])
def test_to_take_an_annotation_away_asks_for_nothing(spec: Any) -> None:
    world = World.of(**spec)
    world.now = datetime(2026, 3, 1, 2, tzinfo=UTC)
    world.run()
    world.annotate(rerun="1", rerun_failed="x")
    assert world.run() > 0
    run = world.status.run
    for gone in ("assay.dev/rerun-failed", "assay.dev/rerun"):
        del world.raw["metadata"]["annotations"][gone]
        world.settle()
        assert world.status.run == run
    world.annotate(rerun="1")
    world.settle()
    assert world.status.run == run
    world.annotate(rerun="2")
    assert world.run() > 0
    assert world.status.run != run


def test_an_empty_annotation_asks_for_nothing() -> None:
    world = World.of()
    world.run()
    run = world.status.run
    world.annotate(rerun="", rerun_failed="")
    world.settle()
    assert world.status.run == run
