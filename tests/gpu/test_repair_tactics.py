"""The tactics remedy on a real builder: what is forbidden does not run, and a tactic that is made bad is named.

No tactic of TensorRT's is bad by itself, so one is made so: engines that run it give outputs that are half as large
again. Everything else is real: the choices, the records, the bits, and what a build that is held to tactics has.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from assay_api.report import Verdict
from assay_runner.backends import BACKENDS, Built, Capability, Session
from assay_runner.backends.chosen import COMPILED, chosen
from assay_runner.backends.tensorrt import TensorRT
from assay_runner.backends.tensorrt.timing import EDITABLE
from assay_runner.remedies.tactics import other_tactics
from assay_runner.tensors import Array, Arrays
from tests.choosing import WRONG
from tests.gpu.test_tactics import BATCH, FREE, MODEL, built, logits, recorded
from tests.lab import Unavailable
from tests.orders import ordered
from tests.runner.remedies.rebuilt import workshop

pytestmark = pytest.mark.usefixtures("gpu")

QUICK = ordered("fp32", build={"optimizationLevel": 1}, tactics={})
INPUTS: Mapping[str, Array] = {"image": np.random.default_rng(1).random((2 * BATCH, 1, 8, 8), np.float32)}


class Wrong:
    """A session whose outputs are too large; all else is the session's own."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def run(self, inputs: Arrays) -> dict[str, Array]:
        return {name: np.array(array) * WRONG for name, array in self._session.run(inputs).items()}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)


class Injected(TensorRT):
    """TensorRT with one tactic that computes nonsense."""

    def __init__(self, layer: str, tactic: str) -> None:
        super().__init__()
        self.layer, self.tactic = layer, tactic

    @contextmanager
    def open(self, built: Built) -> Iterator[Session]:
        with super().open(built) as session:
            # At level 0 nothing tells which tactic runs; there none is bad.
            bad = (built.tactics or {}).get(self.layer) == self.tactic
            yield Wrong(session) if bad else session


@pytest.fixture(scope="module")
def first(gpu: None, tmp_path_factory: pytest.TempPathFactory) -> Built:
    if not BACKENDS["tensorrt"].can(Capability.TACTICS):
        raise Unavailable("this TensorRT cannot record tactics")
    return built(QUICK, tmp_path_factory.mktemp("first"))


@pytest.fixture(scope="module")
def other(first: Built, tmp_path_factory: pytest.TempPathFactory) -> Built:
    """A build kept from every tactic of the first."""
    forbidden = {layer: (tactic,) for layer, tactic in recorded(first).items() if COMPILED not in layer}
    return built(replace(QUICK, forbidden=forbidden), tmp_path_factory.mktemp("other"))


def turned(first: Built, other: Built) -> list[str]:
    """Layers that have another tactic, those that compute first."""
    before, after = recorded(first), recorded(other)
    both = [layer for layer in before if layer in after and before[layer] != after[layer]]
    return sorted(both, key=lambda layer: ("Reformat" in layer, layer))


def test_what_is_forbidden_does_not_run_where_there_is_another(first: Built, other: Built) -> None:
    assert turned(first, other), recorded(first)
    assert np.abs(logits(other) - logits(first)).max() < 1e-2


def test_a_build_tells_its_tactics_where_no_record_was_asked_for(first: Built, tmp_path: Path) -> None:
    assert chosen(first).source == "selector"
    found = chosen(built(replace(QUICK, tactics=None), tmp_path))
    assert found.source == "inspector"
    assert found.tactics


def test_an_editable_timing_cache_tells_its_keys_where_there_is_one(first: Built, tmp_path: Path) -> None:
    if not BACKENDS["tensorrt"].can(Capability.TIMINGS):
        return
    options = QUICK.options.model_copy(update={"flags": (EDITABLE,)})
    made = built(replace(QUICK, options=options, tactics=None), tmp_path)
    assert made.timed
    assert all(int(tactic, 16) >= 0 for tactic in made.timed.values())


def test_a_builder_without_choice_builds(tmp_path: Path) -> None:
    options = FREE.options.model_copy(update={"optimization_level": 0})
    order = replace(QUICK, options=options, tactics=None, most_tactics=1)
    one, two = (logits(built(order, tmp_path / name)) for name in ("one", "two"))
    assert one.tobytes() == two.tobytes()


def test_knobs_are_those_of_the_version() -> None:
    backend = BACKENDS["tensorrt"]
    assert isinstance(backend, TensorRT)
    assert all(knob.values and knob.default in knob.values for knob in backend.knobs())


def test_an_injected_bad_tactic_is_named_and_excluded(first: Built, other: Built, tmp_path: Path) -> None:
    layer = turned(first, other)[0]
    bad = {layer: recorded(first)[layer]}
    backend = Injected(layer, bad[layer])
    made, asked = workshop(backend, tmp_path, (MODEL, INPUTS), {"optimizationLevel": 1}, tactics={"rebuilds": 4})
    cure = other_tactics(made.case, asked, made)
    assert cure.tactics
    assert cure.why == "Found", cure.message
    found = [each for each in cure.tactics.suspects if each.blamed]
    # Tactics of neighbours may hang together, by the layout that they hand on: rebuilds cannot tell these apart.
    assert any(bad in (each.tactics, *each.alike) for each in found), cure.message
    without = [build for build in cure.tactics.rebuilds if build.how == "without"]
    if without:
        assert {build.verdict for build in without} == {Verdict.PASSED}
    for rung in cure.tactics.ladder:
        print(f"{rung.rung}: {rung.verdict} {rung.message} x{rung.price}")
        assert rung.verdict is not Verdict.FAILED or rung.unheld, rung.message
