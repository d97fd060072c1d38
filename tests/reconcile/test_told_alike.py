"""What the operator's status says of a sweep, and what commands make of the same sweep and its audits."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from assay_api.report import Verdict
from assay_runner.cli.gate import _code
from assay_runner.cli.sweep_report import told_of
from assay_runner.report.sweep_cells import SweepShown
from assay_runner.report.sweep_page import render_sweep
from assay_runner.report.sweep_suites import results_of_sweep
from tests.reconcile.sweeps import World
from tests.unit.api.sweeps import TEMPLATE, found

OLD, NEW = "registry.example/runner:10", "registry.example/runner:11"
L4 = {"gpuProducts": ["NVIDIA-L4"]}
CODES = {"Go": 0, "NoGo": 1, "GoWithRemedy": 1, "Inconclusive": 2}


def world(**changes: Any) -> World:
    given = {"upgrade": {"fromImage": OLD, "toImage": NEW}, "template__candidates": TEMPLATE["candidates"][:1]}
    return World.of(**given | {"maxParallel": 1, "template__target": L4} | changes)


def below_a_prefix(names: str, **changes: Any) -> World:
    made = world(models=None, modelPrefix={"uri": "s3://models/"}, **changes)
    made.models = tuple(found(name, name * 16) for name in names)
    return made


def over_budget() -> World:
    made = below_a_prefix("abcd", budget={"gpuHours": 0.06, "whenOver": "Halt"})
    made.run()
    return made


def over_budget_listed() -> World:
    made = world(budget={"gpuHours": 0.06, "whenOver": "Halt"})
    made.run()
    return made


def spent_after_all_had_changed() -> World:
    made = below_a_prefix("abcd", budget={"gpuHours": 100, "whenOver": "Halt"})
    made.run()
    made.raw["spec"]["budget"]["gpuHours"] = 0.06
    made.raw["metadata"]["generation"] += 1
    made.models = tuple(found(name, name.upper() * 16) for name in "abcd")
    made.annotate(rerun="2")
    made.run()
    return made


def more_models_than_are_named() -> World:
    made = below_a_prefix("abcdefghijklmnop", budget={"gpuHours": 0.06, "whenOver": "Halt"})
    made.run()
    return made


def no_audit_can_be_made() -> World:
    made = below_a_prefix("a")
    made.models += (found("x" * 1100, "2" * 16),)
    made.run()
    return made


def equal_models() -> World:
    made = below_a_prefix("abc")
    made.models = (found("a", "1" * 16), found("b", "1" * 16), found("c", "2" * 16))
    made.run({f"a\n{NEW}/fp16@NVIDIA-L4": "Failed"})
    return made


def a_renamed_model() -> World:
    made = below_a_prefix("ab")
    made.run()
    made.models = (found("a", "a" * 16), found("bb", "b" * 16))
    made.annotate(rerun_failed="1")
    assert made.run() == 0
    return made


def a_candidate_that_has_gone() -> World:
    made = world(template__candidates=TEMPLATE["candidates"][:2], maxParallel=16)
    made.models = tuple(model.model_copy(update={"own": ("2" * 16,)}) for model in made.models)
    made.run({f"bert\n{NEW}/int8@NVIDIA-L4": "Failed"})
    assert made.status.gate is not None
    assert made.status.gate.decision == "NoGo"
    made.models = tuple(model.model_copy(update={"own": ()}) for model in made.models)
    upgrade = {"fromImage": OLD, "toImage": NEW}
    made.change(upgrade=upgrade, template__candidates=TEMPLATE["candidates"][:1], template__target=L4)
    made.run()
    return made


def broken_and_cured() -> World:
    made = world(maxParallel=16)
    made.run({f"bert\n{OLD}/fp16@NVIDIA-L4": "Failed", f"vit\n{NEW}/fp16@NVIDIA-L4": "Failed"})
    return made


def without_a_verdict() -> World:
    made = world(maxParallel=16)
    made.run({f"vit\n{NEW}/fp16@NVIDIA-L4": "Error"})
    return made


def an_existing_plan() -> World:
    plan = {"name": "serving", "backend": "tensorrt", "engine": {"uri": "s3://engines/{model}.plan"}}
    made = world(template__candidates=[*TEMPLATE["candidates"][:1], plan], maxParallel=16)
    made.models = tuple(m.model_copy(update={"own": ("2" * 16,)}) for m in made.models)
    made.run({f"vit\n{OLD}/serving@NVIDIA-L4": "Failed"})
    return made


STORIES = [
    over_budget, over_budget_listed, spent_after_all_had_changed, more_models_than_are_named, no_audit_can_be_made,
    equal_models, a_renamed_model, a_candidate_that_has_gone, broken_and_cured, without_a_verdict, an_existing_plan,
]  # fmt: skip


def shown(made: World) -> SweepShown:
    return told_of(json.loads(json.dumps(made.raw | {"kind": "AccuracySweep"})), list(made.audits.values()))


@pytest.mark.parametrize("story", STORIES)
def test_commands_tell_of_a_sweep_what_its_status_says(story: Callable[[], World]) -> None:
    made = story()
    told, status = shown(made), made.status
    assert told.gate is not None
    assert status.gate is not None
    gate, said = told.gate, status.gate
    assert gate.decision == said.decision
    assert int(_code(gate, told.run_of.ended, False)) == CODES[said.decision]
    named = len(told.cells) == status.counts.cells
    assert len(told.cells) + told.unseen == status.counts.cells
    assert named == (story is not more_models_than_are_named)
    assert (gate.count("Go"), gate.count("NoGo"), gate.cured) == (said.go, said.no_go, said.cured)
    assert gate.plans_failed == said.plans_failed
    if named:
        assert gate.count("Inconclusive") == said.inconclusive
    assert told.verdict == (status.verdict or "Inconclusive")
    tally = Counter(case.outcome for suite in results_of_sweep(told).suites for case in suite.cases)
    assert (tally["passed"], tally["failure"]) == (status.counts.passed, status.counts.failed)
    assert bool(tally["error"]) == (status.counts.passed + status.counts.failed < status.counts.cells)


def test_what_has_no_answer_stands_in_every_place_and_says_why() -> None:
    told = shown(over_budget())
    assert told.gate is not None
    assert [(row.model, row.decision) for row in told.gate.rows] == [
        ("b", "Inconclusive"), ("c", "Inconclusive"), ("d", "Inconclusive"), ("a", "Go"),
    ]  # fmt: skip
    assert told.gate.rows[0].why == "fp16: no answer with the new image: not audited: the budget is spent"
    assert any("for the budget of 0.06 GPU hours is spent" in sentence for sentence in told.gate.missing)
    page = render_sweep(told).decode()
    assert "2 passed, 6 without an answer of 8 cells" in page
    assert "<title>Inconclusive: " in page
    (why,) = {c.message for c in told.cells if c.model == "b" and c.column.image == NEW}
    assert why == "not audited: the budget is spent"
    changed = shown(spent_after_all_had_changed())
    assert all("is of what it was before" in cell.message for cell in changed.cells if cell.model != "a")
    refused = shown(no_audit_can_be_made())
    assert any("at most 1024 characters" in cell.message for cell in refused.cells)
    more = shown(more_models_than_are_named())
    assert any(f"{more.unseen} cells have no audit (30 are over the budget)" in doubt for doubt in more.doubts)


def test_an_answer_or_a_gate_of_another_run_is_no_go_ahead() -> None:
    broken = world(maxParallel=16)
    broken.run()
    assert shown(broken).verdict is Verdict.PASSED
    # Changed, and not looked at yet: the operator's word is of what was before.
    broken.raw["metadata"]["generation"] += 1
    told = shown(broken)
    assert told.gate is not None
    assert (told.run_of.ended, told.gate.decision, told.verdict) == (False, "Inconclusive", "Inconclusive")
    # Not to be run at all: the status keeps the gate of the run before.
    broken.raw["spec"]["budget"] = {"gpuHours": -1}
    broken.settle()
    told = shown(broken)
    assert told.status["gate"]["decision"] == "Go"
    assert told.gate is not None
    assert (told.run_of.ended, told.gate.decision, told.verdict) == (True, "Inconclusive", "Inconclusive")
    assert "spec.budget.gpuHours" in " ".join(told.gate.missing)


def test_a_run_that_broke_off_before_it_knew_its_cells_is_not_green_by_the_answers_of_another() -> None:
    made = world(maxParallel=16)
    made.run()
    made.raw["status"] |= {"counts": {}, "gate": None}
    for each in made.raw["status"]["conditions"]:
        each |= {"reason": "Error", "message": "look-0: the storage is away"}
    told = shown(made)
    assert told.gate is not None
    assert (told.gate.decision, told.verdict) == ("Inconclusive", "Inconclusive")
    outcomes = {case.outcome for suite in results_of_sweep(told).suites for case in suite.cases}
    assert "error" in outcomes


def test_while_a_run_goes_on_the_answers_of_before_are_no_no_go() -> None:
    made = world(maxParallel=16)
    made.run({f"vit\n{NEW}/fp16@NVIDIA-L4": "Failed"})
    assert shown(made).gate is not None
    made.models = tuple(found(model.name, model.name[0].upper() * 16) for model in made.models)
    made.annotate(rerun_failed="1")
    made.settle()
    told = shown(made)
    assert told.gate is not None
    assert (told.run_of.ended, int(_code(told.gate, told.run_of.ended, False))) == (False, 2)
    assert told.verdict is not Verdict.PASSED


def test_a_status_that_counts_fewer_that_passed_is_believed() -> None:
    made = world(maxParallel=16)
    made.run({f"vit\n{NEW}/fp16@NVIDIA-L4": "Inconclusive"})
    for audit in made.audits.values():
        for entry in audit["status"]["candidates"]:
            entry["verdict"] = "Passed"
    told = shown(made)
    assert told.gate is not None
    assert (told.gate.decision, told.verdict) == ("Inconclusive", "Inconclusive")
    assert told.gate.missing[-1] == "the sweep's status says Inconclusive (vit on NVIDIA-L4)"
    assert "4 cells passed by their audits, and 3 by the sweep's status" in " ".join(told.doubts)
