"""What is read of a sweep and its audits for a page."""

from __future__ import annotations

import json
from typing import Any

import pytest

from assay_api.report import Verdict
from assay_runner.report.sweep_cells import CellShown, Column, SweepShown, sweep_shown
from assay_runner.report.sweep_page import render_sweep
from tests.unit.report.sweeps import (
    CURE,
    DRIFT,
    NO_CURE,
    OVERFLOW,
    advise,
    advised,
    audit,
    beside,
    some,
    sweep,
    upgrade,
)


def cells(shown: SweepShown) -> dict[str, CellShown]:
    return {f"{cell.model}/{cell.column.candidate}": cell for cell in shown.cells}


def test_the_newest_answer_counts_and_the_one_before_tells_what_regressed() -> None:
    shown = sweep_shown(*some())
    found = cells(shown)
    assert len(found) == 8
    assert (found["bert/fp16@L4"].verdict, found["bert/fp16@L4"].regressed) == (Verdict.FAILED, True)
    assert (found["bert/int8@H200"].verdict, found["bert/int8@H200"].regressed) == (Verdict.FAILED, False)
    assert (found["vit/fp16@H200"].verdict, found["vit/fp16@H200"].going) == (None, True)
    assert (shown.verdict, shown.models, len(shown.columns)) == (Verdict.FAILED, ["bert", "vit"], 4)


def test_what_did_not_pass_stands_together_by_its_cause_regressions_first() -> None:
    groups = [(cause, len(found)) for cause, found in sweep_shown(*some()).by_cause()]
    assert groups == [("finite at /layer/Mul", 3), ("outputDrift at logits", 2)]


def test_an_audit_that_ended_without_a_verdict_says_why() -> None:
    ended = audit("bert", {"fp16": None})
    ended["status"]["candidates"] = []
    (cell,) = sweep_shown(sweep(), [ended]).cells
    assert (cell.verdict, cell.message, cell.going) == (None, "ended so", False)
    assert sweep_shown(sweep(), [ended]).verdict is Verdict.INCONCLUSIVE


def test_images_are_columns_of_their_own() -> None:
    shown = sweep_shown(sweep(), [audit("bert", {"fp16": "Passed"}, image=i) for i in ("r:10", "r:11")])
    assert shown.columns == [Column("fp16", "r:10"), Column("fp16", "r:11")]


ODD: list[Any] = [
    {}, {"metadata": {}}, {"metadata": {"annotations": {"assay.dev/cells": "{"}}},
    {"metadata": {"annotations": {"assay.dev/cells": "[]"}}}, audit("bert", {"fp16": "Passed"}, uid="another"),
]  # fmt: skip


@pytest.mark.parametrize("odd", ODD)
def test_what_is_no_audit_of_it_is_left_out_and_told(odd: Any) -> None:
    shown = sweep_shown(sweep(), [audit("vit", {"fp16": "Passed"}), odd])
    assert (len(shown.cells), shown.unread) == (1, 1)
    assert b"1 audits with the sweep" in render_sweep(shown)


def test_a_sweep_without_anything_has_a_page() -> None:
    page = render_sweep(sweep_shown({"metadata": {"name": "new", "namespace": "ml"}}, [])).decode()
    assert "No cell yet" in page
    assert "None has ended." in page


def test_names_break_no_page() -> None:
    evil = "</script><img src=x onerror=alert(1)>"
    worst = {**OVERFLOW, "node": evil, "message": evil}
    shown = sweep_shown(sweep(), [audit(evil, {evil: "Failed"}, worst=worst), audit("x", {"y": "Failed"}, worst=DRIFT)])
    page = render_sweep(shown).decode()
    assert "<img" not in page
    assert "&lt;img" in page


def test_what_is_worse_than_what_was_accepted_regressed_and_what_was_accepted_has_not() -> None:
    shown = sweep_shown(*beside())
    found = cells(shown)
    assert [(key, cell.state) for key, cell in found.items() if cell.regressed] == [
        ("bert/fp16@L4", "Regressed"), ("bert/int8@L4", "Regressed"),
    ]  # fmt: skip
    assert [(cause, len(group)) for cause, group in shown.by_cause()] == [
        ("outputDrift at /block.3/Add; tensorrt 10.13.3 -> 11.1.0", 2), ("finite at /layer/Mul", 2),
        ("outputDrift at logits", 2),
    ]  # fmt: skip
    page = render_sweep(shown).decode()
    assert "Beside what was accepted: 2 regressed, 2 new, 2 unchanged." in page
    assert "--cause &#x27;outputDrift at /block.3/Add; tensorrt 10.13.3 -&gt; 11.1.0&#x27;" in page or (
        "--cause 'outputDrift at /block.3/Add; tensorrt 10.13.3 -&gt; 11.1.0'" in page
    )
    assert "loses 19 and gains 6 of 1,240 samples" in page


@pytest.mark.parametrize("odd", [{"state": 7}, {"state": "Better"}, [], "x", {"causes": [None, {}], "state": "New"}])
def test_a_baseline_that_cannot_be_read_is_none(odd: Any) -> None:
    assert b"bert" in render_sweep(sweep_shown(sweep(), [audit("bert", {"fp16": "Failed"}, baseline=odd)]))


def test_an_upgrade_has_a_gate_on_the_page() -> None:
    shown = sweep_shown(*upgrade())
    assert shown.gate is not None
    assert [(row.model, row.decision, row.cured) for row in shown.gate.rows] == [
        ("bert", "NoGo", False), ("t5", "GoWithRemedy", False), ("gpt", "Go", True), ("vit", "Go", False),
    ]  # fmt: skip
    assert shown.gate.plans_failed == 1
    page = render_sweep(shown).decode()
    assert "Upgrade gate: No go" in page
    assert "1 no go, 1 go with a remedy, 2 go of 4 models times GPU products; the upgrade cures something of 1" in page
    assert "with the remedy precision (fp16-repaired@L4)" in page
    assert "Drivers: L4 570.86." in page
    assert sweep_shown(*some()).gate is None


@pytest.mark.parametrize("odd", [None, [], {"fromImage": "r:1"}, {"fromImage": [], "toImage": {}}, "x"])
def test_an_upgrade_that_cannot_be_read_is_none(odd: Any) -> None:
    whole, audits = upgrade()
    whole["spec"]["upgrade"] = odd
    assert sweep_shown(whole, audits).gate is None


def told(shown: SweepShown) -> dict[str, tuple[tuple[str, ...], list[str]]]:
    """Candidates to ship and the repaired ones of them, by model and GPU product."""
    return {f"{each.model} {each.target.product}": (each.candidates, sorted(each.cured)) for each in shown.advice}


def test_what_to_ship_is_told_by_model_and_target_and_whether_it_is_a_cure() -> None:
    shown = sweep_shown(*advised())
    assert told(shown) == {
        "bert L4": (("int8",), []), "gpt L4": ((), []), "t5 H200": (("fp16",), []),
        "t5 L4": (("fp16-precision",), ["fp16-precision"]), "vit L4": ((), []),
    }  # fmt: skip
    assert [each.going for each in shown.advice] == [False, False, False, False, True]
    page = render_sweep(shown).decode()
    assert (
        "To ship: 3 of 5 audited models times targets, 1 of them with a repaired candidate; nothing to ship: 1; "
        in page
    )
    assert ">fp16-precision + cure</td>" in page
    assert 'title="fp16-precision is the only candidate that passed; it is a repair of fp16."' in page
    assert 'title="No candidate passed.">none</td>' in page
    assert "s3://audits/t5/recommended/model.plan" in page
    assert page.index("recommended</span>") < page.index("calibration</td>")


def test_what_is_recommended_and_is_no_candidate_of_the_sweep_any_more_is_not_told() -> None:
    """Of an audit that answers for a part of its candidates, and of two that answer for one place."""
    old = advise(audit("bert", {"fp16@L4": "Passed", "int8@L4": "Passed"}, made="2026-03-01"), "int8@L4", "int8 is it.")
    meta = old["metadata"]["annotations"]
    made = json.loads(meta["assay.dev/cells"])
    meta["assay.dev/cells"] = json.dumps(made | {"past": ["int8@L4"]})
    assert told(sweep_shown(sweep(), [old])) == {"bert L4": ((), [])}
    new = advise(audit("bert", {"bf16@L4": "Passed"}), "bf16@L4", "bf16 is it.")
    assert told(sweep_shown(sweep(), [old, new])) == {"bert L4": (("bf16",), [])}
    old["status"]["recommendation"]["candidate"] = "fp16@L4"
    assert told(sweep_shown(sweep(), [new, old])) == {"bert L4": (("bf16", "fp16"), [])}
    # What is called otherwise now, in a model that is equal.
    meta["assay.dev/cells"] = json.dumps(made | {"past": ["fp16@L4"], "also": {"fp16@L4": ["vit\nhalf@L4"]}})
    assert told(sweep_shown(sweep(), [old]))["vit L4"] == (("half",), [])


@pytest.mark.parametrize("odd", [None, [], 7, {"candidate": 7}, {"candidate": [], "message": {}, "deploy": "x"}])
def test_a_recommendation_that_cannot_be_read_breaks_no_page(odd: Any) -> None:
    given = advise(audit("bert", {"fp16@L4": "Failed"}), "fp16-precision@L4", cures=[CURE, NO_CURE])
    given["status"]["recommendation"] = odd
    for repairs in ([odd], [{"cures": odd}], [{"cures": [odd]}], odd):
        given["status"]["repairs"] = repairs
        assert b"bert" in render_sweep(sweep_shown(sweep(), [given]))
