"""What a backend offers beyond what every backend has: each seam does what its name says, or is not offered."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest

from assay_runner.backends import Backend, Built
from assay_runner.backends.seams import (
    FILLINGS,
    KEPT,
    LEAST,
    SHARED,
    Comparing,
    Extensible,
    Keeping,
    Spoiling,
    Streamed,
    Timed,
    Weighed,
    conditions_of,
)
from assay_runner.data.rows import bits_equal
from assay_runner.evidence import RerunsWanted
from assay_runner.evidence.reruns import CONDITIONS
from assay_runner.passes.in_subprocess import run_elsewhere
from assay_runner.passes.repeats import repeat
from assay_runner.passes.spoilt import Spoilt
from assay_runner.tensors import Extents
from tests.contract.builds import SHAPES, Build, asked
from tests.contract.offered import OFFERED
from tests.models import Heard, Samples, branching, convolutions, loaded, random
from tests.runner.numerics.candidates import setting

CLOCKED = ("altering", "tensorrt")
"""Whose sessions run on a device, or are told to look so."""
DATA = Samples({"x": random(6, 4, 9, 9, seed=1)}, batch=3)


def only(names: Iterable[str]) -> pytest.MarkDecorator:
    """Run with these backends of the table: of the others the contract asks nothing here."""
    return pytest.mark.parametrize("backend", sorted(names), indirect=True, scope="session")


@pytest.fixture
def built(build: Build) -> Built:
    return build("fp16")


@pytest.mark.parametrize("name", sorted(OFFERED))
def test_conditions_are_those_there_are(name: str) -> None:
    offered = conditions_of(OFFERED[name])
    assert LEAST <= offered <= set(CONDITIONS)
    assert ("otherStream" in offered) == isinstance(OFFERED[name], Streamed)


def test_sessions_can_be_spoilt_where_used_memory_is_offered(backend: Backend, built: Built) -> None:
    offered = "usedMemory" in conditions_of(backend)
    with ExitStack() as stack:
        opened: list[object] = [
            stack.enter_context(backend.open(built)),
            stack.enter_context(backend.open_tapped(built)),
        ]
        if isinstance(backend, Comparing):
            opened.append(stack.enter_context(backend.open_comparison(built, local=False)))
        assert [isinstance(each, Spoiling) for each in opened] == [offered] * len(opened)


@only(name for name in OFFERED if "usedMemory" in conditions_of(OFFERED[name]))
def test_a_session_that_is_spoilt_gives_the_same_bits(backend: Backend, built: Built) -> None:
    inputs = next(iter(DATA)).inputs
    with backend.open(built) as session:
        plain = np.array(session.run(inputs)["logits"])
        for filling in range(FILLINGS):
            assert bits_equal(plain, Spoilt(session, filling).run(inputs)["logits"])


def test_every_condition_that_is_offered_can_be_run(backend: Backend, built: Built, tmp_path: Path) -> None:
    found = repeat(setting(loaded(convolutions(), tmp_path), built, DATA, tmp_path, backend), RerunsWanted(2, 2))
    assert not found.untried
    assert set(found.tried) == conditions_of(backend)
    assert not found.differences


def test_a_new_process_gives_every_output(backend: Backend, built: Built) -> None:
    batches = [batch.inputs for batch in DATA]
    with backend.open(built) as session:
        here = [{name: np.array(array) for name, array in session.run(batch).items()} for batch in batches]
    elsewhere = run_elsewhere(built, batches)
    assert [found.keys() for found in elsewhere] == [found.keys() for found in here]
    assert all(bits_equal(a[name], b[name]) for a, b in zip(here, elsewhere, strict=True) for name in a)


def test_a_new_process_shows_the_tensors_that_are_shown_here(backend: Backend, built: Built) -> None:
    batch = next(iter(DATA)).inputs
    with backend.open_tapped(built) as session:
        here = {name: np.array(array) for name, array in session.run(batch).items()}
        [elsewhere] = run_elsewhere(built, [batch], tapped=True)
    assert len(here) > 1
    assert elsewhere.keys() == here.keys()
    assert all(bits_equal(here[name], elsewhere[name]) for name in here)


@only(name for name in OFFERED if isinstance(OFFERED[name], Extensible))
def test_one_more_output_is_there_beside_the_others(backend: Backend, built: Built) -> None:
    assert isinstance(backend, Extensible)
    inputs = next(iter(DATA)).inputs
    with backend.open_with_output(built, "r") as session:
        found = {name: np.array(array) for name, array in session.run(inputs).items()}
    with backend.open(built) as session:
        plain = np.array(session.run(inputs)["logits"])
    assert found.keys() == {"logits", "r"}
    assert np.abs(found["logits"] - plain).max() < 0.05 * np.abs(plain).max()


def test_what_control_flow_hides_is_told(backend: Backend, tmp_path: Path) -> None:
    given, shape = loaded(branching(), tmp_path), (6, 4)
    shapes = {"x": Extents((1, 4), shape, shape)}
    made = backend.build(given, asked(backend, "fp32"), None, tmp_path / "built", Heard(), shapes)
    assert [site.tensor for site in made.hidden] == ["y"]


@only(CLOCKED)
def test_a_session_on_a_device_knows_its_time_and_memory(backend: Backend, built: Built) -> None:
    inputs = next(iter(DATA)).inputs
    with backend.open(built) as session:
        assert isinstance(session, Timed)
        times = session.time(inputs, 5)
        assert len(times) == 5
        assert min(times) > 0
        assert isinstance(session, Weighed)
        assert session.device_memory > 0


@only(name for name in OFFERED if name not in CLOCKED)
def test_a_session_of_the_host_does_not_pretend_to_a_device(backend: Backend, built: Built) -> None:
    with backend.open(built) as session:
        assert not isinstance(session, Timed | Weighed)


@only(name for name in OFFERED if isinstance(OFFERED[name], Keeping))
def test_a_dear_build_is_taken_again_and_shared_files_stay_whole(backend: Backend, tmp_path: Path) -> None:
    assert isinstance(backend, Keeping)
    assert backend.identity() == backend.identity() != ""
    model = loaded(convolutions(), tmp_path)

    def build() -> dict[str, bytes]:
        # In 8 bits: what is built as quickly as can be times nothing (tests/contract/builds.py).
        backend.build(model, asked(backend, "int8"), DATA, tmp_path / "built", Heard(), SHAPES)
        kept = (tmp_path / "built" / KEPT).iterdir()
        return {path.name: path.read_bytes() for path in kept if path.suffix != ".json"}

    first = build()
    assert first
    assert build() == first
    [ours] = {path.name: path for path in (tmp_path / "built" / SHARED).iterdir()}.values()
    before, theirs = ours.read_bytes(), tmp_path / "theirs"
    for content in (b"", b"of no use"):
        theirs.write_bytes(content)
        backend.merge(ours, theirs)
        assert ours.read_bytes() == before
