"""What is decided about a sweep's answers beside their baselines: how they count, and what an annotation accepts."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from assay_api.names import ANNOTATION_ACCEPT, STATUS_BYTES
from assay_api.sweep_status import BaselineCounts
from assay_operator.sweeps.observed import Sweep
from tests.reconcile.sweeps import World
from tests.reconcile.test_sweeps import AUDITS, CELLS, replace_inputs
from tests.unit.api.sweeps import TEMPLATE, found

LAYER = "finite at /layer/Mul"
REGRESSED: dict[str, Any] = {"state": "Regressed", "message": "loses 19", "causes": [LAYER, "tensorrt 10.13 -> 11.1"]}


def told(world: World, states: dict[str, dict[str, Any]], default: str = "New") -> None:
    """Every candidate's state once it ends."""
    keys = ["fp16@NVIDIA-H200", "fp16@NVIDIA-L4", "int8@NVIDIA-H200", "int8@NVIDIA-L4", "cpu"]
    world.baselines = {f"{m.name}/{key}": {"state": default} for m in world.models for key in keys} | states


def asked(world: World) -> dict[str, list[str]]:
    """Candidates that audits are asked to accept, by model."""
    found: dict[str, list[str]] = {}
    for audit in world.audits.values():
        if text := audit["metadata"]["annotations"].get(ANNOTATION_ACCEPT):
            model = json.loads(audit["metadata"]["annotations"]["assay.dev/cells"])["place"]
            found.setdefault(model, []).extend(json.loads(text)["candidates"])
    return {model: sorted(keys) for model, keys in found.items()}


def accepted(world: World, *refused: str) -> int:
    """Passes and acceptances until nothing is left; how many audits were asked."""
    count = 0
    for _ in range(400):
        world.settle()
        if not (now := world.accepted(*refused)):
            return count
        count += now
    raise AssertionError("it never ends")


def test_states_are_counted_and_what_regressed_is_told_first() -> None:
    world = World.of()
    told(world, {"vit/fp16@NVIDIA-L4": REGRESSED, "bert/cpu": {"state": "Improved"}})
    world.run({"bert/int8@NVIDIA-L4": "Failed"})
    status = world.status
    assert status.baselines == BaselineCounts(new=8, improved=1, regressed=1)
    assert (status.counts.passed, status.counts.failed, status.counts.regressed) == (9, 1, 1)
    first, second = status.worst
    assert (first.model, first.verdict, first.regressed, first.baseline) == ("vit", "Passed", True, "Regressed")
    assert first.cause == "finite at /layer/Mul; tensorrt 10.13 -> 11.1"
    assert (second.model, second.verdict, second.regressed, second.baseline) == ("bert", "Failed", False, "New")
    (complete,) = [c for c in status.conditions if c.type == "Complete"]
    assert complete.message == "9 passed, 1 failed (1 regressed) of 10 cells"


def test_what_failed_when_it_was_accepted_has_not_regressed_and_what_is_worse_has_though_it_failed_before() -> None:
    world = World.of()
    world.run()
    world.models = tuple(replace_inputs(world, "c"))
    told(world, {"bert/cpu": {"state": "Unchanged"}, "vit/cpu": REGRESSED}, default="Changed")
    world.annotate(rerun_failed="1")
    world.run({"bert/cpu": "Failed", "vit/cpu": "Failed"})
    assert world.status.counts.regressed == 1
    assert [w.model for w in world.status.worst if w.regressed] == ["vit"]


def test_one_annotation_accepts_everything_and_it_shows_at_once() -> None:
    world = World.of()
    told(world, {"vit/cpu": REGRESSED})
    world.run()
    assert world.status.counts.regressed == 1
    world.annotate(accept_baseline="release 7")
    assert accepted(world) == AUDITS
    status = world.status
    assert status.baselines == BaselineCounts(unchanged=CELLS)
    assert (status.counts.regressed, status.worst) == (0, ())
    assert status.accepted is not None
    assert (status.accepted.accepted, status.accepted.refused, status.accepted.why) == (CELLS, 0, "release 7")
    writes = world.writes
    world.settle()
    assert world.writes == writes
    # The annotation is dealt with: what a later run answers is nobody's baseline.
    world.models = tuple(replace_inputs(world, "d"))
    world.annotate(rerun_failed="1")
    told(world, {}, default="Changed")
    world.run()
    assert accepted(world) == 0
    assert world.status.baselines == BaselineCounts(changed=CELLS)


SELECTED: list[tuple[dict[str, str], dict[str, list[str]]]] = [
    ({"model": "vit", "candidate": "cpu"}, {"vit": ["cpu"]}),
    ({"model": "vit", "candidate": "fp16"}, {"vit": ["fp16@NVIDIA-H200", "fp16@NVIDIA-L4"]}),
    ({"candidate": "int8@NVIDIA-L4"}, {"bert": ["int8@NVIDIA-L4"], "vit": ["int8@NVIDIA-L4"]}),
    ({"cause": LAYER}, {"bert": ["cpu"], "vit": ["cpu", "fp16@NVIDIA-L4"]}),
    ({"cause": "tensorrt 10.13 -> 11.1", "model": "bert"}, {"bert": ["cpu"]}),
    ({"cause": f"{LAYER}; tensorrt 10.13 -> 11.1", "candidate": "cpu"}, {"bert": ["cpu"], "vit": ["cpu"]}),
]


@pytest.mark.parametrize(("ask", "wanted"), SELECTED)
def test_a_cell_a_model_or_all_cells_with_one_cause_are_accepted(
    ask: dict[str, str], wanted: dict[str, list[str]]
) -> None:
    world = World.of()
    told(world, {"vit/cpu": REGRESSED, "bert/cpu": REGRESSED, "vit/fp16@NVIDIA-L4": REGRESSED})
    world.run()
    world.annotate(accept_baseline=json.dumps({"why": "as it should be", "who": "ann", **ask}))
    accepted(world)
    assert asked(world) == wanted
    count = sum(map(len, wanted.values()))
    assert world.status.accepted is not None
    assert (world.status.accepted.accepted, world.status.accepted.who) == (count, "ann")


WRONG = [
    ("{", "begins as JSON and is none"),
    ('{"model": "vit"}', "why: required, but missing"),
    ('{"why": "x", "modle": "vit"}', "modle"),
    ('{"why": " "}', "why is empty"),
    ('{"why": "x", "model": "gpt"}', "no cell with an answer has model 'gpt'"),
    ('{"why": "x", "cause": "moon"}', "no cell with an answer has cause 'moon'"),
    ("x" * 5000, "more than 4096 characters"),
    ("   ", "why"),
    ('{"why": 7}', "why"),
    ("[" * 3000, None),
    ('{"why":' + "[" * 3000, "JSON"),
    ("caf\u00e9 \u0000", None),
]


@pytest.mark.parametrize(("text", "words"), WRONG)
def test_what_cannot_be_done_is_told_once(text: str, words: str | None) -> None:
    world = World.of()
    world.run()
    world.annotate(accept_baseline=text)
    count = accepted(world)
    assert world.status.accepted is not None
    if words is None:
        assert count == AUDITS
        return
    assert count == 0
    assert words in (world.status.accepted.message or "")
    assert world.status.phase == "Complete"
    writes = world.writes
    world.settle()
    assert world.writes == writes


def test_what_is_equal_to_what_is_accepted_is_left_alone() -> None:
    world = World.of()
    told(world, {"vit/cpu": {"state": "Changed"}}, default="Unchanged")
    world.run()
    world.annotate(accept_baseline="again")
    assert accepted(world) == 1
    assert world.status.accepted is not None
    assert (world.status.accepted.accepted, world.status.accepted.unchanged) == (1, CELLS - 1)
    world.annotate(accept_baseline="and again")
    assert accepted(world) == 0
    assert "all 10 of them are equal to what is accepted" in (world.status.accepted.message or "")


def test_what_may_not_become_one_is_told_with_the_audit() -> None:
    world = World.of()
    world.run()
    world.annotate(accept_baseline="release 7")
    accepted(world, "cpu")
    told = world.status.accepted
    assert told is not None
    assert (told.accepted, told.refused, told.waiting) == (CELLS - 2, 2, 0)
    assert "it is emulated" in (told.message or "")


def test_ten_thousand_answers_are_accepted_in_passes_and_the_status_stays_small() -> None:
    names = [f"{n:04}-{'ü' * 100}" for n in range(1000)]
    # Of equal candidates one answers for all.
    options = [{"optimizationLevel": level} for level in range(5)]
    template = [
        {**TEMPLATE["candidates"][0], "name": f"{'x' * 36}-{n}", "precision": ("fp16", "bf16")[n % 2],
         "build": options[n // 2]} for n in range(10)
    ]  # fmt: skip
    world = World.of(
        models=None, modelPrefix={"uri": "s3://models/"}, maxParallel=256, template__candidates=template,
        template__target={},
    )  # fmt: skip
    world.models = tuple(found(name, f"{n:016x}") for n, name in enumerate(names))
    cause = {"state": "Regressed", "message": "ü" * 500, "causes": ["finite at /" + "ü" * 300] * 4}
    world.baselines = {f"{name}/{c['name']}": cause for name in names for c in template}
    world.run()
    assert world.status.counts.regressed == 10_000
    assert len(json.dumps(world.raw["status"], ensure_ascii=False).encode()) <= STATUS_BYTES
    world.annotate(accept_baseline="release 7")
    decision = world.step()
    assert (len(decision.patch), decision.requeue_after) == (64, 1.0)
    writes = world.writes
    assert accepted(world) == 1000
    assert world.status.baselines == BaselineCounts(unchanged=10_000)
    # One that says what waits, one that says that all is done, and a few between.
    assert world.writes - writes < 40


def test_while_models_are_looked_at_regressions_are_those_of_the_run_before() -> None:
    world = World.of(schedule={"cron": "0 2 * * *"})
    world.now = datetime(2026, 3, 1, 2, tzinfo=UTC)
    told(world, {"vit/cpu": REGRESSED})
    world.run()
    assert Sweep.of(world.raw).regressed == 1
    world.now = datetime(2026, 3, 2, 2, tzinfo=UTC)
    world.step()
    assert (world.status.phase, world.status.counts.regressed) == ("Pending", 0)
    assert Sweep.of(world.raw).regressed == 1
    world.run()
    assert Sweep.of(world.raw).regressed == 1


def rested(world: World) -> tuple[BaselineCounts | None, int, list[tuple[str, str]]]:
    world.settle()
    status = world.status
    return status.baselines, status.counts.regressed, [(w.model, w.audit) for w in status.worst]


def test_at_rest_the_answers_that_count_are_told_and_accepted_though_younger_ones_are_kept() -> None:
    world = World.of(historyLimit=3, template__candidates=TEMPLATE["candidates"][2:])
    told(world, {}, default="Unchanged")
    world.run()
    olds = set(world.audits)
    first = world.models
    # Another version of a model is worse; then the model goes back to what it was, and so does its answer.
    world.models = (world.models[0], found("vit", "c" * 16))
    told(world, {"vit/cpu": REGRESSED}, default="Unchanged")
    world.annotate(rerun_failed="1")
    assert world.run() == 1
    assert rested(world)[:2] == (BaselineCounts(unchanged=1, regressed=1), 1)
    world.models = first
    world.annotate(rerun_failed="2")
    assert world.run() == 0
    writes = world.writes
    assert rested(world) == (BaselineCounts(unchanged=2), 0, [])
    assert world.writes == writes
    world.annotate(accept_baseline="release 8")
    assert accepted(world) == 0
    # And forth again: the answer is there, and counts again.
    world.models = (world.models[0], found("vit", "c" * 16))
    world.annotate(rerun_failed="3")
    assert world.run() == 0
    assert rested(world)[:2] == (BaselineCounts(unchanged=1, regressed=1), 1)
    world.annotate(accept_baseline="release 9")
    assert accepted(world) == 1
    assert set(asked(world)) == {"vit"}
    assert all(ANNOTATION_ACCEPT not in world.audits[name]["metadata"]["annotations"] for name in olds)


def test_at_rest_a_model_that_has_become_another_s_equal_has_its_answer() -> None:
    world = World.of(historyLimit=3, template__candidates=TEMPLATE["candidates"][2:])
    told(world, {"vit/cpu": REGRESSED}, default="Unchanged")
    world.run()
    assert rested(world)[:2] == (BaselineCounts(unchanged=1, regressed=1), 1)
    world.models = (world.models[0], found("vit", world.models[0].inputs))
    world.annotate(rerun_failed="1")
    assert world.run() == 0
    assert rested(world) == (BaselineCounts(unchanged=1), 0, [])


def test_at_rest_equal_and_renamed_models_stand_by_their_own_names() -> None:
    world = World.of(historyLimit=3, template__candidates=TEMPLATE["candidates"][2:])
    world.models = (found("bert", "a" * 16), found("vit", "a" * 16))
    told(world, {"bert/cpu": REGRESSED}, default="Unchanged")
    assert world.run() == 1
    writes = world.writes
    assert [model for model, _ in rested(world)[2]] == ["bert", "vit"]
    assert (world.status.counts.regressed, world.writes) == (1, writes)
    world.models = (found("gpt", "a" * 16),)
    world.annotate(rerun_failed="1")
    told(world, {}, default="Unchanged")
    world.run({"bert/cpu": "Failed"})
    assert [model for model, _ in rested(world)[2]] == ["gpt"]


def test_what_an_audit_says_of_other_places_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("assay_operator.sweeps.resting.MOST_ALSO", 60)
    world = World.of(template__candidates=TEMPLATE["candidates"][2:])
    world.models = tuple(found(f"model-{number}", "a" * 16) for number in range(20))
    assert world.run() == 1
    (audit,) = world.audits.values()
    also = json.loads(audit["metadata"]["annotations"]["assay.dev/cells"])["also"]
    assert also == {"cpu": [f"model-{number}\ncpu" for number in (1, 10, 11)]}
    assert world.step().patch == ()


def test_at_rest_a_candidate_that_has_gone_counts_no_more() -> None:
    world = World.of(historyLimit=3)
    told(world, {"vit/cpu": REGRESSED}, default="Unchanged")
    world.run()
    world.change(historyLimit=3, template__candidates=TEMPLATE["candidates"][:2])
    world.run()
    assert rested(world) == (BaselineCounts(unchanged=8), 0, [])
