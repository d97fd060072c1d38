"""Audits that no node could take hold no place of maxParallel: others go first, and one of them waits for its node."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from assay_operator.objects.nodes import Gpu, Gpus
from tests.reconcile.sweeps import World, condition
from tests.unit.api.sweeps import TEMPLATE, found

L4, B200 = "NVIDIA-L4", "NVIDIA-B200"
# Of a driver that was not known before, what has begun would begin anew (test_sweep_drivers.py).
BOTH = Gpus((Gpu(B200, "", 1), Gpu(L4, "570.1", 8)))
WITHOUT = Gpus((Gpu(L4, "570.1", 8),))
MODELS = 12


def world(gpus: Gpus = WITHOUT, **changes: Any) -> World:
    """A sweep of a dozen models on a product that there is and one that there is not, two audits at once."""
    changes = {"template__target": {"gpuProducts": [B200, L4]}, "maxParallel": 2, **changes}
    made = World.of(
        template__candidates=TEMPLATE["candidates"][:1], models=None, modelPrefix={"uri": "s3://models/"}, **changes
    )
    made.models = tuple(found(f"m{n:02}", f"{n:016x}") for n in range(MODELS))
    made.gpus = gpus
    return made


def on(made: World, product: str) -> list[str]:
    """Its audits on a product that have not ended."""

    def goes_on(audit: Any) -> bool:
        return not any(each["type"] == "Complete" for each in audit["status"].get("conditions", ()))

    here = {name: audit for name, audit in made.audits.items() if audit["spec"]["target"]["gpuProducts"] == [product]}
    return [name for name, audit in here.items() if goes_on(audit)]


def steps(made: World, count: int = 1) -> None:
    for _ in range(count):
        made.now += timedelta(seconds=11)
        made.step()


def unplaced(made: World, *names: str, over: bool = False) -> None:
    """Have audits say that no node can take them; `over`: they are given up."""
    for name in names:
        ready = {"type": "Ready", "status": "False", "reason": "Unschedulable", "message": "no node can take it"}
        complete = {"type": "Complete", "status": "True", "reason": "Error", "message": "waited 1800 s"}
        made.audits[name]["status"] = {
            "phase": "Pending", "candidates": [], "conditions": [ready, complete] if over else [ready],
        }  # fmt: skip


def test_a_product_that_no_node_has_keeps_no_other_waiting() -> None:
    made = world()
    for _ in range(MODELS + 2):
        steps(made)
        assert len(on(made, B200)) <= 1
        assert len(on(made, L4)) <= 2
        made.end(on(made, L4))
    assert (made.status.counts.passed, made.status.counts.running) == (MODELS, 1)
    assert f"{B200}: fits none of the nodes there are" in condition(made, "Ready")["message"]


def test_what_waited_for_a_product_runs_once_a_node_has_it() -> None:
    made = world()
    steps(made, 4)
    (first,) = on(made, B200)
    unplaced(made, first)
    made.end(on(made, L4))
    steps(made)
    assert (len(on(made, B200)), len(on(made, L4))) == (1, 2)
    made.gpus = BOTH
    made.end(on(made, L4)[:1])
    steps(made)
    # It is about to run, so it has a place again.
    assert (len(on(made, B200)), len(on(made, L4))) == (1, 1)
    made.audits[first]["status"] = {}
    made.run()
    assert made.status.counts.passed == 2 * MODELS
    assert made.status.verdict == "Passed"


def test_once_one_has_waited_in_vain_the_others_are_errors_and_the_next_run_tries_again() -> None:
    made = world()
    for _ in range(MODELS):
        steps(made)
        made.end(on(made, L4))
    (first,) = on(made, B200)
    unplaced(made, first, over=True)
    made.run()
    counts = made.status.counts
    assert (counts.passed, counts.errors, counts.waiting) == (MODELS, MODELS, 0)
    # What no node took has not passed.
    assert made.status.verdict == "Inconclusive"
    assert condition(made, "Complete")["reason"] == "Error"
    assert f"audit {first} waited for such a node" in str([cell.message for cell in made.status.worst])
    made.gpus = BOTH
    made.annotate(rerun_failed="1")
    assert made.run() == MODELS
    assert condition(made, "Complete")["reason"] == "Passed"


def test_a_node_that_comes_before_the_run_is_over_is_used_though_one_had_waited_in_vain() -> None:
    made = world()
    steps(made, 4)
    (first,) = on(made, B200)
    unplaced(made, first, over=True)
    steps(made)
    assert made.status.counts.errors == MODELS
    made.gpus = BOTH
    made.run()
    assert (made.status.counts.passed, made.status.counts.errors) == (2 * MODELS - 1, 1)


@pytest.mark.parametrize("untold", [Gpus(refused="nodes is forbidden"), Gpus()])
def test_where_nodes_do_not_tell_audits_say_themselves_that_no_node_takes_them(untold: Gpus) -> None:
    made = world(untold)
    for _ in range(2 * MODELS):
        steps(made)
        assert len(on(made, B200)) <= 2
        unplaced(made, *on(made, B200))
        made.end(on(made, L4))
    assert (made.status.counts.passed, len(on(made, B200))) == (MODELS, 2)
    assert "2 that no node can take hold no place" in condition(made, "Ready")["message"]


def test_an_audit_that_runs_holds_its_place_though_its_other_pods_wait() -> None:
    made = world(Gpus(refused="nodes is forbidden"))
    steps(made, 4)
    before = len(made.made)
    for name in made.going:
        unplaced(made, name)
        made.audits[name]["status"]["candidates"] = [{"name": f"fp16@{B200}", "state": "Running"}]
    steps(made, 2)
    assert len(made.made) == before == 2


def test_while_the_nodes_are_not_known_yet_a_product_that_was_absent_gets_no_flood() -> None:
    made = world(maxParallel=20)
    steps(made, 2)
    made.gpus = None
    steps(made, 3)
    assert (len(on(made, B200)), len(on(made, L4))) == (1, MODELS)


def test_in_a_queue_of_kueue_s_no_product_is_held_absent() -> None:
    made = world(maxParallel=20)
    made.raw["metadata"]["labels"] = {"kueue.x-k8s.io/queue-name": "gpus"}
    steps(made, 4)
    assert len(on(made, B200)) > 1


def test_of_a_budget_that_does_not_pay_for_all_what_can_run_comes_first() -> None:
    made = world(BOTH)
    made.run()
    made.gpus = WITHOUT
    made.change(
        template__candidates=TEMPLATE["candidates"][:1], models=None, modelPrefix={"uri": "s3://models/"},
        template__target={"gpuProducts": [B200, L4]}, maxParallel=2,
        budget={"gpuHours": MODELS / 36, "whenOver": "Halt"},
    )  # fmt: skip
    made.annotate(rerun="1")
    for _ in range(MODELS + 3):
        steps(made)
        made.end(on(made, L4))
    assert (made.status.counts.passed, made.status.counts.over_budget) == (MODELS, MODELS)


def test_a_product_of_which_nothing_has_changed_is_not_told_of_while_it_has_no_node() -> None:
    made = world(BOTH)
    made.run()
    made.gpus = WITHOUT
    made.annotate(rerun_failed="1")
    made.models = (*made.models, found("cpu", "e" * 16))
    steps(made, 3)
    assert f"{B200}: fits none" in condition(made, "Ready")["message"]
    made.models = made.models[:-1]
    made.end(on(made, L4))
    unplaced(made, *on(made, B200), over=True)
    made.run()
    made.change(
        template__candidates=[*TEMPLATE["candidates"][:1], TEMPLATE["candidates"][2]], models=None, maxParallel=2,
        modelPrefix={"uri": "s3://models/"}, template__target={"gpuProducts": [B200, L4]},
    )  # fmt: skip
    steps(made, 3)
    assert made.going
    assert B200 not in condition(made, "Ready")["message"]
