"""An emulation proposes, an engine decides: engines that agree with it, drift from it, waver, or are always wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import onnx
import pytest

from assay_runner.backends import Built
from assay_runner.report import render_html
from tests.rigged import Engines, Rule
from tests.runner.remedies.repairs import ENGINE, Repaired, repaired, staged
from tests.runner.remedies.transformers import overflowing, sentences, transformer

A, B = "b1.q.node", "b4.out.node"
"""Nodes that no emulation suspects."""


def cured(engine: Engines, folder: Path, loud: tuple[int, ...] = (), builds: int = 100, **fields: Any) -> Repaired:
    """The repair of six blocks, of which these overflow when they are emulated."""
    staged(folder, transformer(loud, blocks=6), sentences())
    remedies = {"precision": {"to": ["fp32"], "rewrite": False}, "budget": {"builds": builds}}
    return repaired(folder, engine=engine, candidates=[ENGINE], remedies=remedies, **fields)


def test_what_emulation_proposes_and_an_engine_confirms_takes_few_builds(tmp_path: Path) -> None:
    engine = Engines(lambda wide: overflowing(1, 3) <= wide)
    found = cured(engine, tmp_path, loud=(1, 3))
    assert found.remedy.outcome == "Cured"
    assert set(found.remedy.wide) == overflowing(1, 3)
    # The proposed set, and the audit of it; that it passes far from the limit needs no second build.
    assert found.entry.builds == 2
    assert found.remedy.minimal == "Proposed"


RULES: dict[str, tuple[tuple[int, ...], Rule, set[str]]] = {
    "needs more": ((1, 3), lambda wide: overflowing(1, 3) | {A, B} <= wide, {*overflowing(1, 3), A, B}),
    "needs less": ((1, 3), lambda wide: overflowing(1) <= wide, set(overflowing(1, 3))),
    "needs others": ((3,), lambda wide: {A, B} <= wide, {A, B}),
    "sees nothing": ((), lambda wide: {A, B} <= wide, {A, B}),
}


@pytest.mark.parametrize("name", RULES)
def test_an_engine_that_drifts_from_its_emulation_is_cured_all_the_same(name: str, tmp_path: Path) -> None:
    loud, rule, wanted = RULES[name]
    found = cured(Engines(rule), tmp_path, loud)
    assert found.remedy.outcome == "Cured"
    wide = set(found.remedy.wide)
    assert rule(frozenset(wide))
    # A node more where that spares casts.
    assert wanted <= wide
    assert len(wide) <= len(wanted) + 2
    last = found.trials[-1]
    assert (last.oracle, last.split, last.verdict) == ("build", "unseen", "Passed")


def test_either_alone_cures_and_both_together_break(tmp_path: Path) -> None:
    engine = Engines(lambda wide: (A in wide) ^ (B in wide))
    found = cured(engine, tmp_path)
    assert found.remedy.outcome == "Cured"
    assert len(found.remedy.wide) == 1
    assert set(found.remedy.wide) < {A, B}
    assert "a larger set fails, so that more is not safer" in found.remedy.message


def test_what_no_set_cures_is_not_cured(tmp_path: Path) -> None:
    found = cured(Engines(lambda wide: False), tmp_path)
    assert (found.remedy.outcome, found.remedy.repaired) == ("NotCured", None)
    assert "every node kept wide" in found.remedy.message


class Broken(Engines):
    """Wrong in FP32 too, of which an emulation knows nothing."""

    def build(self, model: Any, order: Any, *others: Any, **more: Any) -> Built:
        from dataclasses import replace

        return super().build(model, replace(order, precision="fp16"), *others, **more)


def test_an_engine_that_is_wrong_in_fp32_too_is_found_out_by_one_build_of_it(tmp_path: Path) -> None:
    found = cured(Broken(lambda wide: False), tmp_path)
    assert found.remedy.outcome == "NotCured"
    assert found.remedy.message.startswith("it fails with every node in FP32 too")
    assert found.entry.builds == 2


@pytest.mark.parametrize("seed", [1, 3])
def test_builds_that_come_out_wrong_near_the_limit_lead_nowhere_wrong(seed: int, tmp_path: Path) -> None:
    """3 of 100, a decibel or two from it; all of 100 seeds were right when it was written."""
    near = {"wrong": 10 ** (-29 / 20), "right": 10 ** (-32 / 20)}
    engine = Engines(lambda wide: {A, B} <= wide, **near, flips=0.03, seed=seed)
    found = cured(engine, tmp_path, builds=400)
    assert (found.remedy.outcome, set(found.remedy.wide)) == ("Cured", {A, B})


def test_a_cure_on_the_samples_searched_with_alone_is_called_that(tmp_path: Path) -> None:
    seen: list[frozenset[str]] = []

    def once(wide: frozenset[str]) -> bool:
        seen.append(wide)
        return overflowing(1) <= wide and seen.count(wide) == 1

    found = cured(Engines(once), tmp_path, loud=(1,))
    assert found.remedy.outcome == "SearchOnly"
    assert [candidate.verdict for candidate in found.report.candidates] == ["Failed"]
    assert (
        "passes on the samples it was searched with, and fails on 8 samples that it had not seen"
        in found.remedy.message
    )
    assert found.remedy.deploy.reproduce
    assert "# Not to be deployed" in Path(found.remedy.deploy.reproduce.removeprefix("file://")).read_text()
    page = str(render_html(found.report))
    assert "Not to be deployed" in page
    assert "To deploy" not in page


def test_one_engine_that_fails_by_a_little_does_not_undo_what_was_sure(tmp_path: Path) -> None:
    """The first engine that is audited comes out wrong, a decibel below the limit; the next two do not."""
    seen: list[frozenset[str]] = []

    def but_once(wide: frozenset[str]) -> bool:
        seen.append(wide)
        return overflowing(1) <= wide and seen.count(wide) != 2

    engine = Engines(but_once, wrong=10 ** (-29 / 20), right=10 ** (-40 / 20))
    found = cured(engine, tmp_path, loud=(1,))
    assert found.remedy.outcome == "Cured"
    audits = [(trial.split, trial.verdict) for trial in found.trials if trial.split != "search"]
    assert audits == [("told", "Failed"), ("unseen", "Passed"), ("unseen", "Passed")]
    assert [candidate.verdict for candidate in found.report.candidates] == ["Passed"]
    assert found.remedy.message.endswith("samples that no search has seen: 2 of 3 engines of it pass")


def test_a_model_written_otherwise_may_be_right_where_fp32_is_wrong(tmp_path: Path) -> None:
    """Wrong unless built of the model that has LayerNorms in one operator each, in whatever precision."""

    class Fusing(Broken):
        """Right of a model without squares."""

        def build(self, model: Any, *others: Any, **more: Any) -> Built:
            self.fused = "Pow" not in {node.op_type for node in onnx.load(str(model.path)).graph.node}
            return super().build(model, *others, **more)

    engine = Fusing(lambda wide: engine.fused)
    staged(tmp_path, transformer(loud=(1,), blocks=2), sentences())
    found = repaired(tmp_path, engine=engine, candidates=[ENGINE], remedies={"precision": {"to": ["fp32"]}})
    assert (found.remedy.outcome, found.remedy.wide) == ("Cured", {})
    assert "LayerNorms in one operator each" in found.remedy.message
    assert "Pow" not in {node.op_type for node in onnx.load(str(found.model)).graph.node}
