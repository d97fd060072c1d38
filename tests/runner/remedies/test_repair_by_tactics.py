"""The tactics remedy on a backend that chooses tactics, each of which computes other bits on ONNX Runtime."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from assay_api.repair_tactics import RungEntry, TacticsEntry
from assay_api.report import Verdict
from assay_runner.backends import Built, Session
from assay_runner.backends.onnxruntime import OnnxRuntime
from assay_runner.backends.routes import Knob
from assay_runner.remedies.deploy import reproduction
from assay_runner.remedies.remedy import Cure
from assay_runner.remedies.tactics import NONE_CHOSEN
from assay_runner.tensors import Array, Arrays
from tests.choosing import Choosing, Library
from tests.runner.remedies.rebuilt import cured, hows, layer

BAD = {layer(3): "0x1"}
EVERY = [{layer(3): tactic} for tactic in ("0x0", "0x1", "0x2")]


class Telling(Choosing):
    """Its builder tells nothing and cannot be held; the engine tells its tactics."""

    name = "engines"


def seen(cure: Cure) -> TacticsEntry:
    assert cure.tactics
    return cure.tactics


def rungs(cure: Cure) -> dict[str, RungEntry]:
    return {rung.rung: rung for rung in seen(cure).ladder}


def blamed(cure: Cure) -> Sequence[dict[str, str]]:
    return [suspect.tactics for suspect in seen(cure).suspects if suspect.blamed]


@pytest.mark.parametrize("seed", range(5))
def test_an_injected_bad_tactic_is_named_and_excluded(seed: int, tmp_path: Path) -> None:
    cure, _ = cured(Choosing(Library(bad=[BAD]), seed), tmp_path)
    assert (cure.why, blamed(cure)) == ("Found", [BAD])
    assert cure.design
    assert cure.design.order.forbidden == {layer(3): ("0x1",)}
    assert "tactic 0x1 of layer 'h3.node' is to blame" in cure.message
    without = [build for build in seen(cure).rebuilds if build.how == "without"]
    assert len(without) == 4
    assert {build.verdict for build in without} == {Verdict.PASSED}
    assert all(build.tactics[layer(3)] != "0x1" for build in without)


def test_a_tactic_that_the_builder_always_takes_is_named_too(tmp_path: Path) -> None:
    cure, _ = cured(Choosing(Library(bad=[{layer(3): "0x0"}], favoured=1.0)), tmp_path)
    assert hows(cure)[:5] == ["free"] * 4 + ["shaken"]
    assert (cure.why, blamed(cure)) == ("Found", [{layer(3): "0x0"}])


@pytest.mark.parametrize("seed", range(3))
def test_two_tactics_that_are_bad_together(seed: int, tmp_path: Path) -> None:
    pair = {layer(3): "0x1", layer(6): "0x1"}
    cure, _ = cured(Choosing(Library(tactics=("0x0", "0x1"), bad=[pair]), seed), tmp_path, budget={"builds": 80})
    assert cure.why == "Found"
    # In few builds one of the two may look as if it were enough; without it all builds pass just as well.
    assert cure.design
    assert cure.design.order.forbidden.keys() <= pair.keys() or not blamed(cure)


def test_two_bad_tactics_are_both_excluded(tmp_path: Path) -> None:
    bad = [BAD, {layer(6): "0x2"}]
    cure, _ = cured(Choosing(Library(bad=bad)), tmp_path)
    assert cure.why == "Found"
    assert sorted(map(str, blamed(cure))) == sorted(map(str, bad))
    assert cure.design
    assert cure.design.order.forbidden == {layer(3): ("0x1",), layer(6): ("0x2",)}


def test_builds_that_all_pass_blame_nothing_and_show_what_makes_them_repeat(tmp_path: Path) -> None:
    cure, _ = cured(Choosing(), tmp_path)
    assert (cure.why, cure.design, seen(cure).suspects) == ("NotCured", None, ())
    assert "all 4 rebuilds pass" in cure.message
    assert "they give 4 different outputs" in cure.message
    found = rungs(cure)
    assert {name: (rung.verdict, rung.different, rung.builds) for name, rung in found.items()} == {
        "noChoice": (Verdict.PASSED, 1, 4),
        "pinned": (Verdict.PASSED, 1, 4),
        "plan": (Verdict.PASSED, 1, 4),
    }
    assert all(rung.price is not None and rung.price > 0 for rung in found.values())
    pinned = [build for build in seen(cure).rebuilds if build.how == "pinned"]
    assert len({build.bits for build in pinned}) == 1


def test_layers_that_nobody_can_hold_are_named_and_it_is_inconclusive(tmp_path: Path) -> None:
    cure, _ = cured(Choosing(Library(compiled=frozenset({layer(3)}))), tmp_path)
    region = "{ForeignNode[h3.node]}"
    assert cure.why == "Inconclusive"
    pinned = rungs(cure)["pinned"]
    assert (pinned.verdict, pinned.unheld) == (Verdict.FAILED, (region,))
    assert region in cure.message


def test_a_region_that_repeats_so_far_is_no_proof(tmp_path: Path) -> None:
    only = Library(tactics=("0x0", "0x1"), compiled=frozenset({layer(3)}), favoured=0.0)

    class Steady(Choosing):
        """Compiles what it cannot be told to choose the same way every time."""

        def _choice(self, name: str, *others: object) -> str:
            return "0x1" if name in only.compiled else super()._choice(name, *others)  # type: ignore[arg-type]

    cure, _ = cured(Steady(only), tmp_path)
    pinned = rungs(cure)["pinned"]
    assert (cure.why, pinned.verdict, pinned.different) == ("Inconclusive", Verdict.INCONCLUSIVE, 1)


def test_builds_that_all_fail_blame_nothing(tmp_path: Path) -> None:
    cure, made = cured(Choosing(Library(bad=EVERY)), tmp_path)
    assert (cure.why, cure.design, seen(cure).suspects) == ("NotCured", None, ())
    assert "all 8 rebuilds fail" in cure.message
    assert made.spending.builds == 9


def test_what_only_an_engine_tells_is_blamed_and_cannot_be_forbidden(tmp_path: Path) -> None:
    bad = Library(bad=[{layer(3): "0x1"}, {layer(5): "0x0", layer(3): "0x0"}], selects=False)
    cure, _ = cured(Telling(Library(bad=[{layer(3): "0x1"}], selects=False)), tmp_path)
    assert blamed(cure) == [BAD]
    assert {build.source for build in seen(cure).rebuilds} == {"inspector"}
    assert cure.design
    assert cure.design.words == "at optimisation level 0 with one tactic"
    assert rungs(cure)["pinned"].verdict is Verdict.INCONCLUSIVE
    kept, _ = cured(Telling(Library(bad=[*bad.bad, {layer(1): "0x0"}], selects=False), seed=2), tmp_path / "kept")
    assert kept.design is None
    assert "keep the plan of a build that passes, like trial" in kept.message


def test_one_knob_at_a_time_names_the_one_behind_a_miscompile(tmp_path: Path) -> None:
    knobs = (Knob("a", ("0", "1"), "0"), Knob("b", ("x", "y", "z"), "x"))
    backend = Telling(Library(bad=EVERY, knobs=knobs, mends="-b=z", selects=False))
    cure, made = cured(backend, tmp_path)
    assert cure.why == "Found"
    assert "-b=z (by default x), the knob behind it" in cure.message
    assert [(knob.knob, knob.value, knob.verdict) for knob in seen(cure).knobs] == [
        ("a", "1", Verdict.FAILED),
        ("b", "y", Verdict.FAILED),
        ("b", "z", Verdict.PASSED),
    ]
    assert cure.design
    assert cure.design.order.route == "-b=z"
    script = reproduction(cure.design, {}, built=True, timings=False)
    assert "audited anew" not in script, "it turns no knob"
    assert "what was audited is the plan beside this file" in script
    assert made.spending.builds == 4 + 3 + 3


def test_an_emulation_has_no_tactics(tmp_path: Path) -> None:
    cure, made = cured(OnnxRuntime(), tmp_path)
    assert (cure.why, cure.message, made.spending.builds) == ("DoesNotApply", NONE_CHOSEN, 0)


def test_rebuilds_share_no_timing(tmp_path: Path) -> None:
    backend = Choosing()
    cure, made = cured(backend, tmp_path)
    free = [build.tactics for build in seen(cure).rebuilds if build.how == "free"]
    assert len({str(sorted(tactics.items())) for tactics in free}) == 4
    assert not any((made.scratch / "shared").glob("*"))


def test_every_build_leaves_its_whole_record(tmp_path: Path) -> None:
    cure, made = cured(Choosing(), tmp_path)
    for build in seen(cure).rebuilds:
        if build.how == "noChoice":
            continue
        assert build.record == f"{made.artifacts}/tactics/{build.trial}.json"
        written = json.loads(Path(build.record.removeprefix("file://")).read_text())
        assert written["tactics"] == build.tactics
        assert written["source"] == "selector"


def test_a_repair_that_is_begun_anew_builds_nothing_again(tmp_path: Path) -> None:
    backend = Choosing(Library(bad=[BAD]))
    first, _ = cured(backend, tmp_path)
    count = len(backend.routes)
    second, made = cured(backend, tmp_path)
    assert len(backend.routes) == count
    assert second.message == first.message
    assert made.entries
    assert all(entry.known for entry in made.entries)


def test_a_budget_that_is_spent_tells_what_was_seen(tmp_path: Path) -> None:
    cure, _ = cured(Choosing(Library(bad=[BAD])), tmp_path, budget={"builds": 5})
    assert cure.why == "OutOfBudget"
    assert "5 builds (remedies.budget.builds) are spent" in cure.message
    assert len(seen(cure).rebuilds) == 5


class Unsteady(Choosing):
    """Its engines give other bits in every session."""

    @contextmanager
    def open(self, built: Built) -> Iterator[Session]:
        self.sessions = getattr(self, "sessions", 0) + 1
        with super().open(built) as session:
            yield Shifted(session, self.sessions)


class Shifted:
    """A session whose outputs are a little beside."""

    def __init__(self, session: Session, number: int) -> None:
        self._session, self._number = session, number

    def run(self, inputs: Arrays) -> dict[str, Array]:
        return {name: array + np.float32(1e-5 * self._number) for name, array in self._session.run(inputs).items()}


def test_an_engine_that_does_not_repeat_its_own_bits_is_held_by_nothing(tmp_path: Path) -> None:
    cure, _ = cured(Unsteady(), tmp_path)
    found = rungs(cure)
    assert cure.why == "Inconclusive"
    assert {rung.verdict for rung in found.values()} == {Verdict.FAILED}
    assert "itself gives 4 different outputs in 4 sessions" in found["plan"].message
    assert "one engine alone does not repeat its bits" in found["pinned"].message
