"""Trials in a row: golden is run once for all of them, each finds what it would alone, and leaves nothing."""

from __future__ import annotations

import gc
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest

from assay_runner.backends.sessions import OrtSession
from assay_runner.backends.subject import Subject
from assay_runner.checks import Check
from assay_runner.checks.finite import Finite
from assay_runner.checks.fp16_range import Fp16Range
from assay_runner.checks.layer_drift import LayerDrift
from assay_runner.checks.output_drift import OutputDrift
from assay_runner.evidence import Need, OutputsWanted, RangesWanted, TensorsWanted
from assay_runner.golden.reference import Reference
from assay_runner.golden.run import golden_outputs
from assay_runner.golden.store import TensorStore
from assay_runner.models.loading import LoadedModel
from assay_runner.passes.budgets import Budgets
from assay_runner.passes.setting import Setting
from assay_runner.trial.trial import judge, trial
from tests.models import Heard, Samples, convolutions, loaded, random
from tests.runner.numerics.candidates import ORT, build, candidate

DATA = Samples({"x": random(10, 4, 9, 9, seed=1)}, batch=4)
CHECKS: Sequence[Check] = (Finite(), OutputDrift(), LayerDrift(), Fp16Range())
NEEDS = [need for check in CHECKS for need in check.needs]
[TENSORS] = [need for need in NEEDS if isinstance(need, TensorsWanted) and need.compared]


def reference_of(model: LoadedModel, folder: Path, keep: int = 0) -> Reference:
    outputs = [kept for _, kept in golden_outputs(model, DATA, "fp32", folder / "golden", Heard())]
    return Reference(model, DATA, outputs, "fp32", folder, keep=keep)


def subject_of(model: LoadedModel, precision: str, folder: Path) -> Subject:
    return Subject(precision, ORT, build(model, candidate(precision), folder), model)


@pytest.mark.parametrize(("keep", "runs"), [(1 << 30, [3, 3, 3]), (0, [4, 8, 11])], ids=["kept", "not kept"])
def test_golden_shows_its_tensors_once(keep: int, runs: list[int], tmp_path: Path) -> None:
    """To all passes of one trial, and to trials to come where they are kept; ranges are golden's alone."""
    model = loaded(convolutions(), tmp_path)
    reference = reference_of(model, tmp_path, keep)
    for number, (precision, so_far) in enumerate(zip(("fp16", "bf16", "fp32"), runs, strict=True)):
        subject = subject_of(model, precision, tmp_path / str(number))
        evidence = trial(Setting(subject, reference, Heard()), NEEDS)
        assert evidence.found.keys() == set(NEEDS)
        # Where nothing is kept, the worst tensors' histograms take one run more; in fp32 there is none.
        assert reference.runs == so_far


def test_a_trial_finds_what_it_would_find_alone(tmp_path: Path) -> None:
    model = loaded(convolutions(), tmp_path)
    shared = reference_of(model, tmp_path / "shared", 1 << 30)
    for number, precision in enumerate(("bf16", "fp16", "tf32")):
        subject = subject_of(model, precision, tmp_path / str(number))
        alone = reference_of(model, tmp_path / f"alone-{number}")
        first, second = (trial(Setting(subject, each, Heard()), NEEDS) for each in (shared, alone))
        assert judge(CHECKS, first) == judge(CHECKS, second)
        assert first.of(RangesWanted()) == second.of(RangesWanted())
        assert first.of(TENSORS) == second.of(TENSORS)


def test_parts_are_kept_apart_from_whole_batches(tmp_path: Path) -> None:
    model = loaded(convolutions(), tmp_path)
    reference = reference_of(model, tmp_path, 1 << 30)
    subject = subject_of(model, "fp16", tmp_path)
    settings = [Setting(subject, reference, Heard(), Budgets(shown=shown)) for shown in (1 << 30, 1, 1 << 30)]
    found = [trial(each, NEEDS) for each in settings]
    assert judge(CHECKS, found[0]) == judge(CHECKS, found[2])
    layers = [evidence.of(TENSORS) for evidence in found]
    assert layers[0] == layers[2]
    assert layers[1]
    assert layers[1].layers


def test_a_trial_leaves_no_session_behind(tmp_path: Path) -> None:
    model = loaded(convolutions(), tmp_path)
    reference = reference_of(model, tmp_path, 1 << 30)
    gc.collect()
    before = sum(isinstance(each, OrtSession) for each in gc.get_objects())
    for number in range(3):
        trial(Setting(subject_of(model, "fp16", tmp_path / str(number)), reference, Heard()), NEEDS)
    gc.collect()
    assert sum(isinstance(each, OrtSession) for each in gc.get_objects()) == before


def test_what_nothing_measures_is_no_evidence(tmp_path: Path) -> None:
    model = loaded(convolutions(), tmp_path)
    subject = subject_of(model, "fp16", tmp_path)
    evidence = trial(Setting(subject, reference_of(model, tmp_path), Heard()), [OutputsWanted(1)])
    assert evidence.of(OutputsWanted(1))
    assert evidence.of(OutputsWanted(2)) is None
    assert evidence.any(TensorsWanted) is None
    assert replace(evidence, samples=0).of(OutputsWanted(1)) is not None


@dataclass(frozen=True)
class Unheard(Need[float]):
    """A need that the table of passes does not have."""


def test_a_need_that_no_pass_provides_is_told(tmp_path: Path) -> None:
    model = loaded(convolutions(), tmp_path)
    subject = subject_of(model, "fp16", tmp_path)
    evidence = trial(Setting(subject, reference_of(model, tmp_path), Heard()), [OutputsWanted(), Unheard()])
    assert evidence.missing == {Unheard(): "no pass provides Unheard"}
    assert evidence.of(OutputsWanted())


ARRAYS = {
    "matrix": random(3, 4, seed=2),
    "scalar": np.array(2.5, np.float32),
    "none": np.zeros((0, 4), np.float32),
    "flags": np.array([True, False]),
    "half": np.arange(5, dtype=np.float16),
    "brain": np.arange(5).astype(ml_dtypes.bfloat16),
    "long": np.arange(3, dtype=np.int64),
    "turned": random(4, 3, seed=3).T,
}


def test_what_is_kept_comes_back_as_it_was(tmp_path: Path) -> None:
    store = TensorStore(tmp_path / "kept", 1 << 20)
    assert store.get((0, 3), ()) is None
    store.put((0, 3), ARRAYS, ARRAYS)
    found = store.get((0, 3), ARRAYS)
    assert found is not None
    for name, array in ARRAYS.items():
        assert (found[name].shape, found[name].dtype) == (array.shape, array.dtype), name
        assert found[name].tobytes() == array.tobytes(), name
        assert not found[name].flags.writeable
    assert store.get((0, 3), ["matrix", "another"]) is None
    assert store.get((3, 3), ["matrix"]) is None


def test_a_part_without_bytes_is_kept(tmp_path: Path) -> None:
    store = TensorStore(tmp_path / "kept", 100)
    store.put((0, 3), ["none"], {"none": ARRAYS["none"]})
    found = store.get((0, 3), ["none"])
    assert found is not None
    assert found["none"].shape == (0, 4)


def test_the_budget_is_kept_to(tmp_path: Path) -> None:
    store = TensorStore(tmp_path / "kept", 256)
    one = {"x": np.zeros(32, np.float32)}
    for start in range(3):
        store.put((start, 1), one, one)
    assert [store.get((start, 1), ["x"]) is not None for start in range(3)] == [True, True, False]
    store.put((0, 1), ["x"], {"x": np.ones(16, np.float32)})
    store.put((2, 1), ["x"], {"x": np.zeros(16, np.float32)})
    assert store.get((2, 1), ["x"]) is not None
    assert sum(file.stat().st_size for file in (tmp_path / "kept").iterdir()) <= 256


def test_a_disk_that_refuses_costs_time_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "kept").write_text("a file stands where the folder should")
    store = TensorStore(tmp_path / "kept", 1 << 20)
    store.put((0, 3), ARRAYS, ARRAYS)
    assert store.get((0, 3), ARRAYS) is None


def test_what_is_lost_is_computed_again(tmp_path: Path) -> None:
    model = loaded(convolutions(), tmp_path)
    reference = reference_of(model, tmp_path, 1 << 30)
    batch = next(iter(DATA))
    first = {name: np.array(array) for name, array in reference.tensors(batch, ["c", "n"]).items()}
    for file in tmp_path.rglob("*.tensors"):
        file.unlink()
    again = reference.tensors(batch, ["c", "n"])
    assert reference.runs == 2
    assert all(np.array_equal(array, again[name]) for name, array in first.items())


def test_trials_that_ask_for_other_tensors_do_not_take_turns_in_running_golden(tmp_path: Path) -> None:
    model = loaded(convolutions(), tmp_path)
    reference = reference_of(model, tmp_path, 1 << 30)
    batch = next(iter(DATA))
    for _ in range(3):
        assert reference.tensors(batch, ["c", "n"]).keys() >= {"c", "n"}
        assert reference.tensors(batch, ["n", "logits"]).keys() >= {"n", "logits"}
    assert reference.runs == 2


def test_parts_of_another_size_take_the_place_of_those_before(tmp_path: Path) -> None:
    store = TensorStore(tmp_path / "kept", 256)
    store.put((0, 4), ["x"], {"x": np.zeros(64, np.float32)})
    for start in range(4):
        store.put((start, 1), ["x"], {"x": np.full(16, start, np.float32)})
    assert store.get((0, 4), ["x"]) is None
    for start in range(4):
        found = store.get(
            (start, 1),
            [
                "x",
            ],
        )
        assert found is not None
        assert found["x"][0] == start


def test_what_golden_never_gives_is_not_asked_for_again(tmp_path: Path) -> None:
    store = TensorStore(tmp_path / "kept", 256)
    store.put((0, 1), ["x", "strings"], {"x": np.zeros(4, np.float32)})
    found = store.get((0, 1), ["x", "strings"])
    assert found is not None
    assert found.keys() == {"x"}
