"""Engines that are a little worse than their emulation: emulations are asked for more, and engines for little."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import onnx
import pytest

from assay_api.report import Verdict
from assay_runner.backends import Built
from assay_runner.backends.order import BuildOrder
from assay_runner.models.loading import LoadedModel
from assay_runner.remedies.case import Design
from assay_runner.remedies.judged import Judged, Said
from assay_runner.remedies.precision.tries import Tries
from assay_runner.remedies.spending import Oracle
from assay_runner.remedies.workshop import Memory, Workshop
from assay_runner.report import render_html
from tests.models import random
from tests.rigged import Engines, off
from tests.runner.remedies.repairs import ENGINE, INT8, Repaired, repaired, staged
from tests.runner.remedies.scarce import LIMIT, WIDTH, products
from tests.runner.remedies.test_engines import A, B
from tests.runner.remedies.transformers import sentences, transformer

QUANTISED = {**INT8, "backend": "tensorrt"}


class Noisier(Engines):
    """As it is asked for, and beside that with an error of its own in its output.

    Attributes:
        decibels: by which the error is below the output.
    """

    def __init__(self, decibels: float) -> None:
        super().__init__()
        self.decibels = decibels

    def build(self, model: LoadedModel, order: BuildOrder, *others: Any) -> Built:
        built = super().build(model, order, *others)
        if order.precision == "fp32":
            return built
        proto = onnx.load(str(built.path))
        off(proto, 10 ** (-self.decibels / 20))
        path = built.path.with_name("noisier.onnx")
        onnx.save(proto, str(path))
        return replace(built, path=path)


def cured(folder: Path, engine: Engines, **remedies: Any) -> Repaired:
    x = random(200, WIDTH, seed=7)
    staged(folder, products(), {"x": x}, {"x": x[:64]})
    return repaired(
        folder,
        engine=engine,
        candidates=[QUANTISED],
        dataset={"uri": "file://./data/", "batch": 50},
        remedies={"precision": {"to": ["fp32"]}, **remedies},
        checks=[{"outputDrift": {"snr": LIMIT}}],
    )


def test_emulations_are_asked_for_what_an_engine_lacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[float] = []
    aim = Tries.aim

    def noted(self: Tries, ahead: float) -> None:
        asked.append(ahead)
        aim(self, ahead)

    monkeypatch.setattr(Tries, "aim", noted)
    found = cured(tmp_path, Noisier(24.0))
    # At least a decibel, and then twice as much each time.
    assert asked[0] >= 1 / 30
    assert len(asked) > 1
    assert all(2 * before <= after for before, after in itertools.pairwise(asked))
    assert found.remedy.outcome == "Cured"
    assert "less to spare than its emulation, so emulations were asked for more" in found.remedy.message
    assert "emulations were asked for more" in str(render_html(found.report))
    tried = [trial for trial in found.trials if trial.oracle == "build"]
    # Each proposal has more to spare than the last, and no set is told apart by engines: that took 44 of them.
    assert found.entry.builds <= 10
    sets = list(dict.fromkeys(trial.words for trial in tried if trial.wide))
    sizes = [next(trial.wide for trial in tried if trial.words == words) for words in sets]
    assert sizes == sorted(sizes)
    assert sizes[-1] == len(found.remedy.wide) < 12


def test_an_engine_that_lacks_much_more_than_its_emulation_is_searched_itself(tmp_path: Path) -> None:
    """Its output is wrong for another reason than how much is wide."""
    staged(tmp_path, transformer((3,), blocks=6), sentences())
    engine = Engines(lambda wide: {A, B} <= wide, wrong=0.5)
    remedies = {"precision": {"to": ["fp32"], "rewrite": False}, "budget": {"builds": 100}}
    found = repaired(tmp_path, engine=engine, candidates=[ENGINE], remedies=remedies)
    assert found.remedy.outcome == "Cured"
    assert {A, B} <= found.remedy.wide.keys()
    assert "asked for more" not in found.remedy.message


@pytest.mark.parametrize("loud", [(), (3,)])
def test_engines_show_their_tensors_for_what_the_candidate_fails_alone(
    loud: tuple[int, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: dict[str, set[frozenset[str]]] = {"build": set(), "emulation": set()}
    judged = Workshop.judged

    def noted(self: Workshop, design: Design, remedy: str, oracle: Oracle = "build", **more: Any) -> Judged:
        if "names" in more:
            asked[oracle].add(more["names"])
        return judged(self, design, remedy, oracle, **more)

    monkeypatch.setattr(Workshop, "judged", noted)
    staged(tmp_path, transformer(loud, blocks=6), sentences())
    # The engine of the candidate as it is overflows where block 3 is loud, and is merely off where none is.
    engine = Engines() if loud else Engines(lambda wide: A in wide)
    remedies = {"precision": {"to": ["fp32"], "rewrite": False}}
    found = repaired(tmp_path, engine=engine, candidates=[ENGINE], remedies=remedies)
    assert found.remedy.outcome == "Cured"
    assert all("finite" in names for names in asked["emulation"])
    assert asked["build"]
    assert all(("finite" in names) is bool(loud) for names in asked["build"])
    # An audit asks for it in any case.
    assert {each.check for each in found.report.findings if each.candidate == "fp16-precision"} == {
        "finite",
        "outputDrift",
    }


class Wrong(Noisier):
    """Far off unless two nodes are wide, whatever else is, and as noisy as others beside that."""

    needed = frozenset({"u1.node", "u5.node"})

    def __init__(self) -> None:
        super().__init__(30.0)

    def build(self, model: LoadedModel, order: BuildOrder, *others: Any) -> Built:
        right = order.precision == "fp32" or self.needed <= order.held.keys()
        self.decibels = 30.0 if right else 10.0 if order.held else 3.0
        return super().build(model, order, *others)


def test_what_fails_in_its_emulation_too_says_nothing_of_how_much_an_engine_lacks(tmp_path: Path) -> None:
    """All INT8 fails by both, by figures that are near each other: no reason to ask emulations for more."""
    found = cured(tmp_path, Wrong())
    assert found.remedy.outcome == "Cured"
    assert Wrong.needed <= found.remedy.wide.keys()
    assert len(found.remedy.wide) < 12
    assert "asked for more" not in found.remedy.message


def test_an_emulation_is_no_engine_however_much_it_has_to_spare(tmp_path: Path) -> None:
    """A model written otherwise is tried again once emulations must have more to spare: its engine is what passes."""
    asked: list[Oracle] = []
    tries = Tries.__new__(Tries)
    tries.case = SimpleNamespace(spare=1 / 30, failing=frozenset({"outputDrift"}))  # type: ignore[assignment]
    tries.ignored = frozenset()

    def judged(design: Design, remedy: str, oracle: Oracle, **more: Any) -> Judged:
        asked.append(oracle)
        value = {"emulation": 34.0, "build": 20.0}[oracle]
        return Judged(
            said=(Said(check="outputDrift", verdict=Verdict.PASSED, message="", metric="snr", value=value, limit=30),)
        )

    heard = dict[str, Judged]().setdefault
    tries.workshop = SimpleNamespace(  # type: ignore[assignment]
        memory=Memory(ahead=5 / 30), oracle="build", judged=judged, heard=heard
    )
    design: Any = None
    assert tries.passing(design) is None
    assert asked == ["emulation"]
    tries.workshop.memory.ahead = 0.0
    assert tries.passing(design) is None
    assert asked == ["emulation", "emulation", "build"]


@pytest.mark.parametrize("builds", range(1, 7))
def test_nothing_is_emulated_once_no_engine_can_confirm_it(builds: int, tmp_path: Path) -> None:
    found = cured(tmp_path, Noisier(24.0), budget={"builds": builds})
    built, after = 0, []
    for trial in found.trials:
        if built >= builds and trial.oracle == "emulation" and not trial.known:
            after.append(trial.words)
        built += trial.oracle == "build" and not trial.known
    assert not after
