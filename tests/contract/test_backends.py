"""What every backend must do: build, run what it was given, show and cut what it says it can."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from assay_runner import errors
from assay_runner.backends import BACKENDS, Backend, Built, Capability
from assay_runner.backends.order import BuildOrder
from assay_runner.backends.seams import SHARED, Comparing
from assay_runner.data.rows import bits_equal
from assay_runner.errors import CannotBuild, InvalidInput
from assay_runner.statistics.blocks import Sums
from assay_runner.tensors import Array
from tests.contract.builds import SHAPES, Build, X, asked
from tests.lab import Unavailable
from tests.models import Heard, Samples, convolutions, loaded
from tests.orders import ordered
from tests.timings import shared_by_builds


def test_the_table_names_what_it_holds() -> None:
    assert all(chosen.name == name for name, chosen in BACKENDS.items())


def test_a_missing_device_is_one_sentence_with_a_way_out() -> None:
    told = ""
    try:
        BACKENDS["tensorrt"].available()
    except errors.Unavailable as error:
        told = str(error)
    if not told:
        raise Unavailable("nothing is missing here: there are a GPU, its driver and TensorRT")
    assert "--backend onnxruntime" in told
    assert ". " not in told


@pytest.mark.parametrize("precision", ["fp32", "fp16", "bf16", "tf32", "int8", "fp8"])
def test_a_build_runs_and_is_near_the_model(backend: Backend, precision: str, build: Build) -> None:
    exact, made = build("fp32"), build(precision)
    assert made.path.is_file()
    assert (made.backend, made.precision) == (backend.name, precision)
    with backend.open(exact) as reference, backend.open(made) as session:
        expected, found = reference.run({"x": X}), session.run({"x": X})
    assert found.keys() == expected.keys() == {"logits"}
    # FP8 keeps 4 significant bits of each operand.
    near = 0.1 if precision == "fp8" else 0.05
    assert np.abs(found["logits"] - expected["logits"]).max() < near * np.abs(expected["logits"]).max()


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_the_same_input_gives_the_same_bits(backend: Backend, precision: str, build: Build) -> None:
    made = build(precision)
    results = []
    for _ in range(2):
        with backend.open(made) as session:
            results += [session.run({"x": X})["logits"].copy() for _ in range(2)]
    assert all(bits_equal(results[0], result) for result in results)


def test_any_batch_may_be_fed(backend: Backend, build: Build) -> None:
    with backend.open(build("fp16")) as session:
        whole = session.run({"x": X})["logits"].copy()
        assert session.run({"x": X[:2]})["logits"] == pytest.approx(whole[:2], abs=1e-3)


def test_shown_tensors_are_those_it_names(backend: Backend, build: Build) -> None:
    if not backend.can(Capability.TENSORS):
        raise Unavailable(f"{backend.name} cannot show tensors here")
    made = build("fp16")
    sites = backend.sites(made)
    with backend.open_tapped(made) as session:
        everything = session.run({"x": X})
    assert [site.tensor for site in sites if site.tensor in everything] == [site.tensor for site in sites]
    assert all(site.node and site.op for site in sites)
    with backend.open_tapped(made, {"c"}) as session:
        assert session.run({"x": X}).keys() == {"c", "logits"}


def test_segments_make_every_shared_tensor(backend: Backend, build: Build) -> None:
    """Of a backend that fuses: every shared tensor that it keeps between its layers."""
    if not backend.can(Capability.SEGMENTS):
        raise Unavailable(f"{backend.name} cannot run segments here")
    made = build("fp16")
    with backend.open_tapped(made) as session:
        tensors = session.run({"x": X})
    floats = {name: a.nbytes for name, a in tensors.items() if a.dtype == np.float32}
    kept = set(floats)
    if isinstance(backend, Comparing):
        with backend.open_comparison(made, local=False) as comparison:
            kept &= comparison.shown
    with backend.segments(made, floats, 1 << 20) as segments:
        given = {name for segment in segments for name in segment.gives}
        assert given == kept
        for segment in segments:
            results = segment.session.run({**tensors, "x": X})
            for name, made_as in segment.gives.items():
                # On its own tensors a segment gives what the whole gave; where it is an engine, by other kernels.
                found, whole = results[made_as], tensors[name]
                assert bits_equal(found, whole) or (isinstance(backend, Comparing) and snr(whole, found) > 50), name


def snr(whole: Array, found: Array) -> float:
    """Signal to noise in dB."""
    sums = Sums()
    sums.add(whole, found)
    return sums.snr


def test_a_wrong_shape_is_the_users_to_mend(backend: Backend, build: Build) -> None:
    with backend.open(build("fp32")) as session, pytest.raises(InvalidInput, match="x"):
        session.run({"x": X[:, :2]})


def test_what_is_released_is_forgotten_and_no_other_build_is_touched(backend: Backend, tmp_path: Path) -> None:
    def made(name: str) -> tuple[Built, list[weakref.ref[object]]]:
        """A build that was looked into, and what must not be held once it is released."""
        given, progress, data = loaded(convolutions(), tmp_path / name), Heard(), Samples({"x": X})
        workdir = shared_by_builds(backend, tmp_path / name / "built")
        found = backend.build(given, asked(backend, "fp16"), data, workdir, progress, SHAPES)
        looked_into(found)
        return found, [weakref.ref(each) for each in (found, given, progress, data)]

    def looked_into(found: Built) -> None:
        if backend.can(Capability.TENSORS):
            with backend.open_tapped(found, {"c"}) as session:
                assert session.run({"x": X}).keys() == {"c", "logits"}

    first, held = made("first")
    second, others = made("second")
    with backend.open(first) as session:
        before = session.run({"x": X})["logits"].copy()
    files = written(tmp_path / "second")
    for _ in range(2):
        backend.release(first)
    with backend.open(first) as session:
        assert bits_equal(session.run({"x": X})["logits"], before)
    del first
    gc.collect()
    assert [ref() for ref in held] == [None] * len(held)
    looked_into(second)
    assert written(tmp_path / "second") == files
    backend.release(second)
    del second
    gc.collect()
    assert [ref() for ref in others] == [None] * len(others)


def written(folder: Path) -> dict[Path, tuple[int, int]]:
    """When each file was written, and its size; but for what every build may write to."""
    files = (path for path in folder.rglob("*") if path.is_file() and SHARED not in path.parts)
    return {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in files}


def test_a_node_that_is_not_there_is_not_held(backend: Backend, tmp_path: Path) -> None:
    order = replace(asked(backend, "fp16"), held={"c.node": "fp32", "none*": "fp32"})
    with pytest.raises(InvalidInput, match=r"node 'none\*' is held to fp32, and given.onnx has none of this name"):
        backend.build(loaded(convolutions(), tmp_path), order, None, tmp_path / "built", Heard(), SHAPES)


def test_tactics_are_recorded_or_refused_in_one_sentence(backend: Backend, tmp_path: Path) -> None:
    # Level 0 selects no tactics.
    level: dict[str, Any] = {"build": {"optimizationLevel": 1}} if backend.name == "tensorrt" else {}
    order, workdir = ordered("fp16", backend=backend.name, tactics={}, **level), tmp_path / "built"
    given = loaded(convolutions(), tmp_path)
    if backend.can(Capability.TACTICS):
        assert backend.build(given, order, None, workdir, Heard(), SHAPES).tactics
        return
    with pytest.raises(errors.Unsupported, match="a record of tactics is asked for, ") as caught:
        backend.build(given, order, None, workdir, Heard(), SHAPES)
    assert ". " not in str(caught.value)


def test_a_layer_runs_what_it_is_held_to_and_not_what_is_forbidden(backend: Backend, tmp_path: Path) -> None:
    if not backend.can(Capability.TACTICS):
        return  # Refused, see above.
    level: dict[str, Any] = {"build": {"optimizationLevel": 1}} if backend.name == "tensorrt" else {}
    free, given = ordered("fp32", backend=backend.name, tactics={}, **level), loaded(convolutions(), tmp_path)

    def made(order: BuildOrder, name: str) -> Mapping[str, str]:
        found = backend.build(given, order, None, tmp_path / name, Heard(), SHAPES).tactics
        assert found
        return found

    first = made(free, "free")
    assert made(replace(free, tactics=first), "held") == first
    layer, tactic = next(iter(first.items()))
    without = made(replace(free, forbidden={layer: (tactic,)}), "without")
    # It may have no other; then it runs what it has, and says so.
    assert without.get(layer) != tactic or backend.name == "tensorrt"


@pytest.mark.parametrize("precision", ["int8", "fp8"])
def test_8_bits_without_calibration_inputs_are_refused(backend: Backend, precision: str, tmp_path: Path) -> None:
    made = loaded(convolutions(), tmp_path)
    with pytest.raises(InvalidInput, match="calibration"):
        backend.build(made, asked(backend, precision), None, tmp_path / "built", Heard())


@pytest.mark.parametrize("precision", ["int8", "fp8"])
def test_a_model_of_its_own_without_pairs_is_refused(backend: Backend, precision: str, tmp_path: Path) -> None:
    own = ordered(precision, backend=backend.name, model={"uri": "file:///own.onnx"})
    with pytest.raises(CannotBuild, match=r"no .* QuantizeLinear and DequantizeLinear pairs inside"):
        backend.build(loaded(convolutions(), tmp_path), own, None, tmp_path / "built", Heard())
