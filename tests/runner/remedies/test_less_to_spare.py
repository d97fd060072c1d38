"""Engines that are a little worse than their emulation: emulations are asked for more, and engines for little."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import onnx
import pytest

from assay_api.report import Verdict
from assay_runner.backends import Built
from assay_runner.backends.backend import NOTHING
from assay_runner.backends.order import BuildOrder
from assay_runner.models.loading import LoadedModel
from assay_runner.remedies.case import Design
from assay_runner.remedies.judged import Judged, Said
from assay_runner.remedies.precision.nodes import Nodes
from assay_runner.remedies.precision.tries import Tries
from assay_runner.remedies.spending import Oracle, OutOfBudget
from assay_runner.remedies.workshop import Memory, Workshop
from assay_runner.report import render_html
from assay_runner.search import Answer
from assay_runner.tensors import Batches, Extents, Progress
from tests.models import random
from tests.rigged import Engines, off
from tests.runner.remedies.repairs import ENGINE, INT8, Repaired, repaired, staged
from tests.runner.remedies.test_engines import A, B
from tests.runner.remedies.test_scarce import LIMIT, WIDTH, products
from tests.runner.remedies.transformers import overflowing, sentences, transformer

QUANTISED = {**INT8, "backend": "tensorrt"}


class Noisier(Engines):
    """As it is asked for, and beside that with an error of its own in its output.

    Attributes:
        decibels: by which the error is below the output.
    """

    def __init__(self, decibels: float) -> None:
        super().__init__()
        self.decibels = decibels

    def build(
        self,
        model: LoadedModel,
        order: BuildOrder,
        calibration: Batches | None,
        workdir: Path,
        progress: Progress,
        shapes: Mapping[str, Extents] = NOTHING,
    ) -> Built:
        built = super().build(model, order, calibration, workdir, progress, shapes)
        if order.precision == "fp32":
            return built
        proto = onnx.load(str(built.path))
        off(proto, 10 ** (-self.decibels / 20))
        onnx.save(proto, str(workdir / "noisier.onnx"))
        return replace(built, path=workdir / "noisier.onnx")


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


class Scarce(Engines):
    """Right with two nodes wide and up to five more in its first engine alone, and with more in all."""

    def __init__(self) -> None:
        self.seen: list[frozenset[str]] = []
        super().__init__(self._right, wrong=10 ** (-29 / 20))

    def _right(self, wide: frozenset[str]) -> bool:
        self.seen.append(wide)
        return {A, B} <= wide and (len(wide) > 6 or self.seen.count(wide) == 1)


def scarce(folder: Path, builds: int) -> Repaired:
    staged(folder, transformer((), blocks=6), sentences())
    remedies = {"precision": {"to": ["fp32"], "rewrite": False}, "budget": {"builds": builds}}
    return repaired(folder, engine=Scarce(), candidates=[ENGINE], remedies=remedies)


def test_what_failed_on_other_samples_is_not_proposed_again(tmp_path: Path) -> None:
    found = scarce(tmp_path, builds=100)
    audited = [trial.words for trial in found.trials if trial.split == "told"]
    # Each set may be audited twice, as it fails by little; none is after another one was.
    assert audited == sorted(audited, key=list(dict.fromkeys(audited)).index)
    assert len(set(audited)) > 2


def test_a_larger_set_that_is_known_to_pass_is_taken_where_no_build_is_left_for_another_search(tmp_path: Path) -> None:
    """What fits the budget is searched, fails on other samples, and then there is what was seen on the way."""
    found = scarce(tmp_path, builds=34)
    assert found.remedy.outcome == "Cured"
    assert len(found.remedy.wide) > 6
    assert "the budget was spent before fewer could be tried: it is the best so far" in found.remedy.message
    assert "sets with less passed on the samples that are searched with and not on the others" in found.remedy.message
    assert found.trials[-1].split == "last"
    # Beyond the budget nothing is built but what is audited.
    beyond = [trial for trial in found.trials if trial.oracle == "build" and not trial.known][34:]
    assert {trial.split for trial in beyond} <= {"told", "last"}


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

    tries.workshop = SimpleNamespace(memory=Memory(ahead=5 / 30), oracle="build", judged=judged)  # type: ignore[assignment]
    design: Any = None
    assert tries.passing(design) is None
    assert asked == ["emulation"]
    tries.workshop.memory.ahead = 0.0
    assert tries.passing(design) is None
    assert asked == ["emulation", "emulation", "build"]


class Beside(Engines):
    """Facts and two nodes more are needed; few more than those are right in their first engine alone."""

    needed = overflowing(3) | {A, B}

    def __init__(self) -> None:
        self.seen: list[frozenset[str]] = []
        super().__init__(self._right, wrong=10 ** (-29 / 20))

    def _right(self, wide: frozenset[str]) -> bool:
        self.seen.append(wide)
        return self.needed <= wide and (len(wide) > len(self.needed) + 4 or self.seen.count(wide) == 1)


def test_what_was_built_is_remembered_when_builds_are_few(tmp_path: Path) -> None:
    """Whatever is left: a search for facts alone ends without them, and what passed among all nodes is taken."""
    staged(tmp_path, transformer((3,), blocks=6), sentences())
    remedies = {"precision": {"to": ["fp32"], "rewrite": False}}
    first = repaired(tmp_path, engine=Beside(), candidates=[ENGINE], remedies={**remedies, "budget": {"builds": 400}})
    told = next(number for number, trial in enumerate(first.trials) if trial.split == "told")
    spent = sum(trial.oracle == "build" for trial in first.trials[:told])
    for left in (1, 3):
        found = repaired(
            tmp_path,
            engine=Beside(),
            candidates=[ENGINE],
            remedies={**remedies, "budget": {"builds": spent + 2 + left}},
        )
        assert found.remedy.outcome == "Cured", found.remedy.message
        assert len(Beside.needed) + 4 < len(found.remedy.wide) < 109


class Off(Engines):
    """Facts and two nodes more are needed, and six beside those but for the first engine; lacks half a decibel else."""

    needed = overflowing(3) | {A, B}

    def __init__(self) -> None:
        self.seen: list[frozenset[str]] = []
        super().__init__(self._right, wrong=10 ** (-55 / 20))

    def _right(self, wide: frozenset[str]) -> bool:
        self.seen.append(wide)
        return self.needed <= wide and (len(wide) > len(self.needed) + 6 or self.seen.count(wide) == 1)


def test_facts_that_are_not_enough_for_an_emulation_any_more_are_not_told_apart_by_engines(tmp_path: Path) -> None:
    """23 engines were built so of parts of four nodes, all of which fail once emulations must have more to spare."""
    staged(tmp_path, transformer((3,), blocks=6), sentences())
    checks = [{"finite": {}}, {"outputDrift": {"snr": 55.6}}]
    remedies = {"precision": {"to": ["fp32"], "rewrite": False}, "budget": {"builds": 60}}
    found = repaired(tmp_path, engine=Off(), candidates=[ENGINE], checks=checks, remedies=remedies)
    assert found.remedy.outcome == "Cured"
    assert found.entry.builds <= 8


def test_a_search_goes_on_where_nobody_can_look_at_attention(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Which takes builds of its own, and those may be spent: engines of a search before may do."""

    def spent(*_: Any) -> None:
        raise OutOfBudget("no build is left")

    monkeypatch.setattr("assay_runner.remedies.precision.with_upcast_attention", spent)
    found = cured(tmp_path, Noisier(24.0))
    assert found.remedy.outcome == "Cured"


def test_all_nodes_are_searched_where_facts_cannot_be_emulated_any_more() -> None:
    nodes = Nodes.__new__(Nodes)
    nodes.chosen, nodes.suspicion, nodes.hopeless = frozenset("abcdef"), {"a": 1e9}, None
    nodes.tries = SimpleNamespace(failed=[])  # type: ignore[assignment]
    searched: list[frozenset[str]] = []

    def emulated(kept: frozenset[str]) -> Answer:
        if kept == frozenset("a"):
            return Answer.of(False)
        raise OutOfBudget("no build is left")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(nodes, "_with_neighbours", lambda facts: frozenset("ab"))
        patch.setattr(nodes, "_emulated", emulated)
        patch.setattr(nodes, "_searched", searched.append)
        nodes._opened()
    assert searched == [nodes.chosen]


class Halves(Engines):
    """Right in BF16 in the first engine of a set alone, and always in FP32."""

    def __init__(self) -> None:
        self.seen: list[tuple[tuple[str, str], ...]] = []
        super().__init__(lambda wide: self.fits, wrong=10 ** (-29 / 20))
        self.fits = True

    def build(self, model: LoadedModel, order: BuildOrder, *others: Any) -> Built:
        held = tuple(sorted(order.held.items()))
        self.seen.append(held)
        once = self.seen.count(held) == 1 or "bf16" not in order.held.values()
        self.fits = overflowing(3) <= order.held.keys() and once
        return super().build(model, order, *others)


def test_what_failed_elsewhere_in_a_half_is_tried_in_fp32(tmp_path: Path) -> None:
    staged(tmp_path, transformer((3,), blocks=6), sentences())
    remedies = {"precision": {"to": ["bf16", "fp32"], "rewrite": False}, "budget": {"builds": 60}}
    found = repaired(tmp_path, engine=Halves(), candidates=[ENGINE], remedies=remedies)
    assert found.remedy.outcome == "Cured"
    assert set(found.remedy.wide.values()) == {"fp32"}
    assert next(trial.split for trial in found.trials if trial.split != "search") == "told"


@pytest.mark.parametrize("builds", range(1, 7))
def test_nothing_is_emulated_once_no_engine_can_confirm_it(builds: int, tmp_path: Path) -> None:
    found = cured(tmp_path, Noisier(24.0), budget={"builds": builds})
    built, after = 0, []
    for trial in found.trials:
        if built >= builds and trial.oracle == "emulation" and not trial.known:
            after.append(trial.words)
        built += trial.oracle == "build" and not trial.known
    assert not after
