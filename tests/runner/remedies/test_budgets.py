"""A budget that is spent leaves the best so far; a repair that is begun anew goes on where it was, and only there."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from assay_api.remedies import Budget
from assay_runner.backends import Built
from assay_runner.remedies.spending import Spending
from tests.models import constant
from tests.rigged import Engines
from tests.runner.remedies.repairs import ENGINE, Repaired, repaired, staged
from tests.runner.remedies.transformers import overflowing, sentences, transformer

A, B = "b1.q.node", "b4.out.node"
SEARCH = {"to": ["fp32"], "rewrite": False}


def emulated(folder: Path, **fields: Any) -> Repaired:
    """Two blocks, of which one overflows; what is staged already stays."""
    if not (folder / "model.onnx").exists():
        staged(folder, transformer(loud=(1,), blocks=2), sentences())
    return repaired(folder, **{"remedies": {"precision": SEARCH}, **fields})


@pytest.mark.parametrize("proposals", [1, 2, 3, 4, 6, 9])
def test_emulations_that_are_spent_leave_the_best_so_far(proposals: int, tmp_path: Path) -> None:
    found = emulated(tmp_path, remedies={"precision": SEARCH, "budget": {"proposals": proposals}})
    # What was found is judged, whatever is left.
    assert found.entry.proposals <= (proposals if proposals > 4 else proposals + 1)
    remedy = found.remedy
    if proposals < 3:
        assert remedy.outcome == "OutOfBudget"
        assert f"{proposals} emulations (remedies.budget.proposals) are spent" in remedy.message
    else:
        assert remedy.outcome == "Cured"
        assert overflowing(1) <= set(remedy.wide)
    # Wherever something was found, it is told: it passed on what was searched with.
    passed = [trial for trial in found.trials if trial.wide and trial.verdict == "Passed"]
    assert bool(remedy.wide) == bool(passed)


@pytest.mark.parametrize("builds", [1, 2, 5, 12, 20])
def test_builds_that_are_spent_leave_a_set_that_passes(builds: int, tmp_path: Path) -> None:
    staged(tmp_path, transformer((), blocks=6), sentences())
    remedies = {"precision": SEARCH, "budget": {"builds": builds}}
    found = repaired(tmp_path, engine=Engines(lambda wide: {A, B} <= wide), candidates=[ENGINE], remedies=remedies)
    assert found.entry.builds <= max(builds, 2)
    remedy = found.remedy
    assert {A, B} <= set(remedy.wide)
    every = remedy.message.startswith(f"all {len(remedy.wide)} nodes run in FP32: ")
    fewer = (
        "a set was found that leaves any of them in FP16" if every else "fewer could be tried: it is the best so far"
    )
    assert f"the budget was spent before {fewer}" in remedy.message
    assert every is (builds < 12)
    assert remedy.outcome == "Cured"
    assert found.model.is_file()


@pytest.mark.parametrize("seconds", [1.0, 3.0, 20.0])
def test_a_set_that_was_found_in_time_is_judged_though_time_is_up(
    seconds: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every look at the clock takes so long, and a minute is all there is."""

    def timed(budget: Budget) -> Spending:
        return Spending(budget, clock=map(float, itertools.count(0, int(seconds))).__next__)

    monkeypatch.setattr("assay_runner.tasks.repair.Spending", timed)
    found = emulated(tmp_path, remedies={"precision": SEARCH, "budget": {"minutes": 1}})
    if found.remedy.outcome == "OutOfBudget":
        assert seconds == 20
        assert (
            found.remedy.message == "1 minutes (remedies.budget.minutes) are spent, and nothing was found that passes"
        )
    else:
        assert found.remedy.outcome == "Cured"
        assert found.trials[-1].split == "unseen"


class Mortal(Engines):
    """Dies with everything around it in one of its builds."""

    dies = 0

    def build(self, *given: Any, **more: Any) -> Built:
        built = super().build(*given, **more)
        if len(self.asked) == self.dies:
            raise KeyboardInterrupt
        return built


def told(found: Repaired) -> list[tuple[object, ...]]:
    """What was tried, and what came of it."""
    return [(t.oracle, t.split, t.words, t.verdict, t.because) for t in found.trials]


def test_death_at_any_moment_costs_one_build_at_most_and_changes_nothing(tmp_path: Path) -> None:
    fields: dict[str, Any] = {"candidates": [ENGINE], "remedies": {"precision": SEARCH}}

    def rule(wide: frozenset[str]) -> bool:
        return {"b0.q.node", "b1.out.node"} <= wide

    staged(tmp_path, transformer((), blocks=2), sentences())
    engine = Mortal(rule)
    whole = repaired(tmp_path, engine=engine, **fields)
    builds = len(engine.asked)
    assert whole.remedy.outcome == "Cured"
    for moment in range(2, builds + 1, 3):
        shutil.rmtree(tmp_path / "out")
        first, second = Mortal(rule), Mortal(rule)
        first.dies = moment
        with pytest.raises(KeyboardInterrupt):
            repaired(tmp_path, engine=first, **fields)
        shutil.rmtree(tmp_path / "scratch")
        again = repaired(tmp_path, engine=second, **fields)
        assert told(again) == told(whole)
        assert (again.remedy.wide, again.remedy.message) == (whole.remedy.wide, whole.remedy.message)
        # The candidate itself is audited anew; what it is repaired with is not tried twice, but for what died.
        assert len(first.asked) + len(second.asked) <= builds + 2
        assert (again.entry.builds, again.entry.proposals) == (whole.entry.builds, whole.entry.proposals)


def test_nothing_is_tried_again_that_is_known(tmp_path: Path) -> None:
    first, second = emulated(tmp_path), emulated(tmp_path)
    assert told(first) == told(second)
    assert not any(trial.known for trial in first.trials)
    assert all(trial.known for trial in second.trials if trial.split == "search")


def scaled(folder: Path) -> None:
    """Other weights by the same names: no value overflows any more."""
    proto = onnx.load(str(folder / "model.onnx"))
    for tensor in proto.graph.initializer:
        if tensor.name == "b1.scale":
            tensor.CopyFrom(constant(tensor.name, np.float32(300)))
    onnx.save(proto, str(folder / "model.onnx"))


def other_data(folder: Path) -> None:
    """Other samples in a file of the same name and size."""
    np.savez(folder / "data" / "part-0.npz", x=sentences(seed=8)["x"])


CHANGES: dict[str, tuple[Callable[[Path], None], dict[str, Any]]] = {
    "weights": (scaled, {}),
    "data": (other_data, {}),
    "limit": (lambda folder: None, {"checks": [{"finite": {}}, {"outputDrift": {"snr": 31}}]}),
    "share": (lambda folder: None, {"remedies": {"precision": SEARCH, "searchShare": 0.25}}),
    "golden": (lambda folder: None, {"golden": {"precision": "fp64"}}),
}


@pytest.mark.parametrize("name", CHANGES)
def test_what_was_tried_with_something_else_is_tried_again(name: str, tmp_path: Path) -> None:
    emulated(tmp_path)
    change, fields = CHANGES[name]
    change(tmp_path)
    again = emulated(tmp_path, **fields)
    assert again.remedy.outcome == "Cured"
    assert not any(trial.known for trial in again.trials)


def test_another_version_takes_no_trial_for_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = emulated(tmp_path)
    monkeypatch.setattr("assay_runner.tasks.repair.versions", lambda: "another")
    assert not any(trial.known for trial in emulated(tmp_path).trials)
    assert first.entry.valid_for["model"]


def test_another_device_takes_no_build_for_known(tmp_path: Path) -> None:
    staged(tmp_path, transformer(loud=(1,), blocks=2), sentences())
    for device in ("one", "other"):
        engine = Engines(lambda wide: overflowing(1) <= wide)
        engine.device = device
        found = repaired(tmp_path, engine=engine, candidates=[ENGINE], remedies={"precision": SEARCH})
        assert not any(trial.known for trial in found.trials if trial.oracle == "build")
        assert found.entry.valid_for["engines"] == device


def test_a_damaged_record_is_one_that_is_not_there(tmp_path: Path) -> None:
    first = emulated(tmp_path)
    records = sorted((tmp_path / "out" / "cache" / "trials").glob("*.json"))
    assert len(records) > 4
    for number, record in enumerate(records):
        content = record.read_bytes()
        record.write_bytes(content[: len(content) // 2] if number % 2 else content.replace(b"Failed", b"Passed"))
    again = emulated(tmp_path)
    assert (again.remedy.outcome, again.remedy.wide) == (first.remedy.outcome, first.remedy.wide)
    assert told(again) == told(first)
