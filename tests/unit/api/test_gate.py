"""What an upgrade gate decides: golden, the old engine, the new one, every pair of what they can say."""

from __future__ import annotations

from typing import Any

import pytest

from assay_api.gate import Shown, gate_of
from assay_api.legs import Leg, leg_of

P, F, I, N = "Passed", "Failed", "Inconclusive", ""  # noqa: E741
DECIDED: list[tuple[dict[str, Any], dict[str, Any], str, str]] = [
    # (old, new, decision, words)
    ({"verdict": P}, {"verdict": P, "beside": "Unchanged"}, "Go", "unchanged beside the old engine"),
    ({"verdict": P}, {"verdict": P, "beside": "Changed", "why": "loses 1"}, "Go", "loses 1"),
    ({"verdict": P}, {"verdict": P, "beside": "Improved"}, "Go", "improved"),
    # What was not compared is not equal.
    ({"verdict": P}, {"verdict": P}, "Inconclusive", "was not held against the old engine"),
    ({"verdict": P}, {"verdict": P, "beside": "Inconclusive", "why": "other data"}, "Inconclusive", "other data"),
    # Within the limits, and worse all the same: what a limit alone lets through.
    ({"verdict": P}, {"verdict": P, "beside": "Regressed", "why": "loses 19", "causes": ("trt 10 -> 11",)}, "NoGo",
     "worse than the old engine: loses 19 (trt 10 -> 11)"),
    ({"verdict": P}, {"verdict": P, "beside": "Regressed", "remedy": "precision"}, "NoGo", "worse"),
    ({"verdict": P}, {"verdict": F, "message": "boxes off"}, "NoGo", "it passed with the old image: boxes off"),
    ({"verdict": P}, {"verdict": F, "remedy": "precision (fp16-repaired)"}, "GoWithRemedy", "remedy precision"),
    ({"verdict": P}, {"verdict": I, "message": "no plugin"}, "Inconclusive", "no plugin"),
    ({"verdict": P}, {"verdict": N}, "Inconclusive", "not been audited with both images yet"),
    ({"verdict": P}, {"verdict": N, "message": "no such image"}, "Inconclusive", "no such image"),
    ({"verdict": F, "message": "error 0.23"}, {"verdict": P}, "Go", "cured by the upgrade; with the old image: error"),
    ({"verdict": F}, {"verdict": F}, "Go", "fails with either image"),
    ({"verdict": F}, {"verdict": F, "beside": "Regressed"}, "NoGo", "worse than with the old image"),
    ({"verdict": F}, {"verdict": F, "remedy": "precision"}, "GoWithRemedy", "precision"),
    ({"verdict": F}, {"verdict": I}, "Inconclusive", "could not be judged"),
    ({"verdict": I}, {"verdict": P}, "Go", "it passes"),
    ({"verdict": I}, {"verdict": F}, "NoGo", "not known"),
    ({"verdict": N}, {"verdict": F}, "NoGo", "not known"),
    ({"verdict": N}, {"verdict": P}, "Inconclusive", "not been audited with both images yet"),
    ({"verdict": N}, {"verdict": N}, "Inconclusive", "not been audited"),
    ({"verdict": P, "typing": "weak"}, {"verdict": P, "typing": "strong"}, "Inconclusive", "two models"),
    ({"verdict": P, "typing": "strong"}, {"verdict": P, "typing": "strong", "beside": "Changed"}, "Go", "passes"),
]  # fmt: skip


def both(old: Leg, new: Leg, key: str = "fp16@L4", model: str = "m", plan: bool = False) -> list[Shown]:
    return [Shown(model, key, False, plan, old), *([] if plan else [Shown(model, key, True, plan, new)])]


@pytest.mark.parametrize(("old", "new", "decision", "words"), DECIDED)
def test_what_follows_of_both_engines(old: dict[str, Any], new: dict[str, Any], decision: str, words: str) -> None:
    gate = gate_of(both(Leg(**old), Leg(**new)))
    (row,) = gate.rows
    assert (gate.decision, row.decision) == (decision, decision)
    assert words in row.why
    turned = old["verdict"] == F and new["verdict"] == P
    assert row.cured == (turned or (decision == "Go" and new.get("beside") == "Improved"))


def test_a_row_is_a_model_on_a_product_and_its_worst_candidate_decides() -> None:
    good, bad = Leg(verdict=P, beside="Unchanged"), Leg(verdict=F)
    answers = [*both(good, good, "fp16@L4"), *both(good, bad, "int8@L4"), *both(good, good, "fp16@H200"),
               *both(bad, good, "cpu", model="n")]  # fmt: skip
    gate = gate_of(answers)
    assert [(row.model, row.product, row.decision, row.cured) for row in gate.rows] == [
        ("m", "L4", "NoGo", False), ("n", "", "Go", True), ("m", "H200", "Go", False),
    ]  # fmt: skip
    assert [each.candidate for each in gate.rows[0].judged] == ["int8", "fp16"]
    assert (gate.count("Go"), gate.count("NoGo"), gate.cured) == (2, 1, 1)


def test_an_existing_plan_is_held_apart() -> None:
    good, bad = Leg(verdict=P, beside="Unchanged"), Leg(verdict=F, message="other bits")
    gate = gate_of([*both(good, good), *both(bad, Leg(), "serving@L4", plan=True)])
    (row,) = gate.rows
    assert (gate.decision, gate.plans_failed, row.why.startswith("fp16: ")) == ("Go", 1, True)
    assert row.judged[1].why == "the plan fails as it is, with the old image on the driver there is now: other bits"


def test_plans_without_an_engine_that_could_take_over_decide() -> None:
    answers = [*both(Leg(verdict=F), Leg(), "serving@L4", plan=True), *both(Leg(verdict=P), Leg(verdict=P), "cpu")]
    assert [(row.product, row.decision) for row in gate_of(answers).rows] == [("L4", "NoGo"), ("", "Inconclusive")]


def test_nothing_is_no_go_ahead() -> None:
    assert gate_of([]).decision == "Inconclusive"


def test_a_leg_is_read_off_a_status_with_its_repair() -> None:
    entry = {
        "name": "fp16@L4", "verdict": "Failed", "worst": {"message": "finite"}, "typing": "strong", "emulated": True,
        "compared": {"state": "Regressed", "message": "loses 19", "causes": ["tensorrt 10 -> 11"]},
    }  # fmt: skip
    cures = [{"candidate": "int8@L4", "remedy": "calibration", "outcome": "Cured"},
             {"candidate": "fp16@L4", "remedy": "tactics", "outcome": "NotCured"},
             {"candidate": "fp16@L4", "remedy": "precision", "outcome": "Cured", "repaired": "fixed@L4"}]  # fmt: skip
    assert leg_of(entry, [{"cures": cures}, {}], "a") == Leg(
        verdict="Failed", message="finite", beside="Regressed", why="loses 19", causes=("tensorrt 10 -> 11",),
        typing="strong", remedy="precision (fixed@L4)", audit="a", emulated=True,
    )  # fmt: skip
    assert leg_of({}) == Leg()
