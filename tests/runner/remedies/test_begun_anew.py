"""A search that begins anew, for more to spare: it has the engines of the one before, and not what failed elsewhere."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from assay_runner.backends import Built
from assay_runner.backends.order import BuildOrder
from assay_runner.models.loading import LoadedModel
from assay_runner.remedies.precision.nodes import Nodes
from assay_runner.remedies.spending import OutOfBudget
from assay_runner.search import Answer
from tests.rigged import Engines
from tests.runner.remedies.repairs import ENGINE, Repaired, repaired, staged
from tests.runner.remedies.test_engines import A, B
from tests.runner.remedies.test_less_to_spare import Noisier, cured
from tests.runner.remedies.transformers import overflowing, sentences, transformer


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


class Beside(Engines):
    """Facts and two nodes more are needed; `more` than those, or less, are right in their first engine alone."""

    needed = overflowing(3) | {A, B}
    more, noise = 4, -29

    def __init__(self) -> None:
        self.seen: list[frozenset[str]] = []
        super().__init__(self._right, wrong=10 ** (self.noise / 20))

    def _right(self, wide: frozenset[str]) -> bool:
        self.seen.append(wide)
        return self.needed <= wide and (len(wide) > len(self.needed) + self.more or self.seen.count(wide) == 1)


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


class Off(Beside):
    """The same with six, and lacks half a decibel else."""

    more, noise = 6, -55


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
