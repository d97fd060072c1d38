"""Drivers in the keys of cells where nodes come and go: pools that scale to zero, pools that are rolled."""

from __future__ import annotations

import pytest

from assay_api.cells import parts_of
from assay_operator.objects.nodes import Gpu, Gpus
from tests.reconcile.sweeps import World
from tests.unit.api.sweeps import TEMPLATE, found

L4, OTHER = "NVIDIA-L4", Gpu("NVIDIA-H200", "570.1", 1)
MODELS = 6
EMPTY, NOBODY = Gpus((OTHER,)), Gpus()
FORBIDDEN = Gpus(refused="nodes is forbidden")


def with_driver(driver: str) -> Gpus:
    return Gpus((OTHER, Gpu(L4, driver, 8)))


OLD, MIXED, NEW = (with_driver(driver) for driver in ("570.1", "570.1,580.2", "580.2"))


def world(gpus: Gpus) -> World:
    made = World.of(
        template__candidates=TEMPLATE["candidates"][:1], template__target={"gpuProducts": [L4]}, models=None,
        modelPrefix={"uri": "s3://models/"}, maxParallel=64,
    )  # fmt: skip
    made.models = tuple(found(f"m{n}", f"{n:016x}") for n in range(MODELS))
    made.gpus = gpus
    return made


def again(made: World, gpus: Gpus) -> int:
    """Another run, with other nodes; how many audits it makes."""
    made.gpus = gpus
    before = made.raw["metadata"]["annotations"].get("assay.dev/rerun-failed", "0")
    made.annotate(rerun_failed=str(int(before) + 1))
    return made.run()


@pytest.mark.parametrize("empty", [EMPTY, NOBODY, FORBIDDEN, with_driver("")])
def test_where_no_node_tells_of_a_driver_nothing_is_audited_again(empty: Gpus) -> None:
    made = world(OLD)
    assert made.run() == MODELS
    assert [again(made, gpus) for gpus in (empty, empty, OLD)] == [0, 0, 0]
    assert made.status.counts.unchanged == MODELS
    # What was upgraded meanwhile is noticed by the first run that begins with a node.
    assert [again(made, gpus) for gpus in (empty, NEW, empty)] == [0, MODELS, 0]


def test_a_pool_that_is_rolled_is_audited_again_once_when_the_old_driver_is_gone() -> None:
    made = world(OLD)
    assert made.run() == MODELS
    assert [again(made, gpus) for gpus in (MIXED, MIXED, NEW, NEW)] == [0, 0, MODELS, 0]
    # And back, half of the way: both drivers have been audited, and both are there.
    assert [again(made, gpus) for gpus in (MIXED, OLD)] == [0, 0]


def test_what_was_audited_while_drivers_differed_holds_while_all_of_them_are_there() -> None:
    made = world(MIXED)
    assert made.run() == MODELS
    assert [again(made, gpus) for gpus in (MIXED, with_driver("570.1,580.2,590.3"), NEW)] == [0, 0, MODELS]


def test_a_rerun_on_a_pool_that_is_rolled_is_an_answer_for_both_drivers_only() -> None:
    made = world(OLD)
    made.run()
    made.gpus = MIXED
    made.annotate(rerun="1")
    assert made.run() == MODELS
    # The newest answers may be of the driver that has gone, and so were those before.
    assert again(made, NEW) == MODELS


def with_a_pod_that_waits() -> tuple[World, str]:
    """A pool that went to zero after a run, one model that is new since, and the audit of it."""
    made = world(OLD)
    made.run()
    made.models = (*made.models[1:], found("new", "e" * 16))
    made.annotate(rerun_failed="1")
    made.gpus = EMPTY
    made.settle()
    (first,) = made.going
    return made, first


def test_a_driver_that_shows_only_while_the_run_goes_on_is_audited_in_it() -> None:
    made, first = with_a_pod_that_waits()
    (target,) = made.status.targets
    assert (target.driver, target.nodes) == ("570.1", 0)
    # The Pod that waits has brought a node, by now with another driver.
    made.gpus = NEW
    made.settle()
    assert first not in made.audits
    assert len(made.going) == MODELS
    (target,) = made.status.targets
    assert (target.driver, target.nodes) == ("580.2", 8)
    made.run()
    assert made.status.counts.passed == MODELS
    assert again(made, EMPTY) == 0


def test_a_node_that_comes_with_the_driver_of_before_changes_nothing() -> None:
    made, first = with_a_pod_that_waits()
    made.gpus = OLD
    made.settle()
    assert made.going == [first]


def test_a_driver_that_was_never_known_is_audited_once_it_is() -> None:
    made = world(EMPTY)
    assert made.run() == MODELS
    assert [again(made, gpus) for gpus in (EMPTY, OLD, EMPTY)] == [0, MODELS, 0]


def test_a_fleet_keeps_what_it_knows_of_a_pool_that_is_at_zero() -> None:
    made = World.of(
        template__candidates=TEMPLATE["candidates"][:1], template__target=None, fleet=True, models=None,
        modelPrefix={"uri": "s3://models/"}, maxParallel=64,
    )  # fmt: skip
    made.models = tuple(found(f"m{n}", f"{n:016x}") for n in range(MODELS))
    made.gpus = OLD
    assert made.run() == 2 * MODELS
    assert again(made, EMPTY) == 0
    assert (made.status.counts.cells, len(made.audits)) == (MODELS, 2 * MODELS)
    assert again(made, OLD) == 0
    assert made.status.counts.unchanged == 2 * MODELS
    # Of a model that has gone nothing is kept.
    made.models = made.models[1:]
    again(made, EMPTY)
    assert len(made.audits) == 2 * (MODELS - 1)


@pytest.mark.parametrize(
    ("drivers", "parts"),
    [
        ("", ("",)),
        ("a", ("a",)),
        ("a,b", ("a,b", "a", "b")),
        ("a,b,c", ("a,b,c", "a", "b", "c", "a,b", "a,c", "b,c")),
        ("a,b,c,d,e", ("a,b,c,d,e", "a", "b", "c", "d", "e")),
    ],
)
def test_of_some_drivers_all_fewer_ones_are_told(drivers: str, parts: tuple[str, ...]) -> None:
    assert parts_of(drivers) == parts
