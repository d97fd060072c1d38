"""A calibration that keeps little of a tensor's range says so, and which method keeps all of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from assay_api.audit import Storage
from assay_api.report import Verdict
from assay_runner.backends.found import Range
from assay_runner.backends.order import order_of
from assay_runner.builds.cache import BuildRequest, build_or_take
from assay_runner.checks.output_drift import OutputDrift
from assay_runner.data.datasets import Source, open_dataset
from assay_runner.evidence import Unlike
from assay_runner.stores import open_store
from assay_runner.tensors import Batch
from assay_runner.trial.input_peaks import InputPeaks
from tests.models import Heard, Samples, constant, loaded, model, node, random, value
from tests.runner.io.made import shard
from tests.runner.numerics.candidates import ORT, build, candidate, int8, measured


def product() -> onnx.ModelProto:
    return model(
        [node("MatMul", "x w", "y")], [value("x", "N", 8)], [value("y", "N", 4)], [constant("w", random(8, 4, seed=1))]
    )


def loud() -> Any:
    """One input in fifty is nine times as large as the others can be."""
    data = np.clip(random(400, 8), -1, 1)
    data[::50] = 9
    return data


@pytest.mark.parametrize("method", ["percentile", "minmax"])
def test_what_failed_says_what_was_cut(method: str, tmp_path: Path) -> None:
    data = Samples({"x": loud()}, batch=50)
    given = {"method": method} | ({"percentile": 95} if method == "percentile" else {})
    asked = int8(**given)
    report, [found] = measured(product(), asked, data, tmp_path, OutputDrift(snr=12), calibration=data)
    cut = method == "percentile"
    assert found.verdict is (Verdict.FAILED if cut else Verdict.PASSED)
    said = "calibration by percentile 95 keeps 11 % of the range of tensor 'x', which node 'y.node' reads (1 of 9)"
    assert (said in found.message) is cut, found.message
    assert ("method minmax keeps all of it" in found.message) is cut
    assert any("percentile 95 cuts tensor 'x' to 11 % of its range" in note for note in report.notes) is cut


TURNED = model(
    [node("Transpose", "x", "t", perm=[1, 0]), node("Transpose", "t", "u", perm=[1, 0]), node("MatMul", "u w", "y")],
    [value("x", "N", 8)],
    [value("y", "N", 4)],
    [constant("w", random(8, 4, seed=1))],
)


@pytest.mark.parametrize("proto", [product(), TURNED], ids=["as it is", "turned"])
@pytest.mark.parametrize(
    ("scale", "told"), [(255, "1020"), (1 / 255, "0.01569"), (1.5, ""), (1 / 4, "")], ids=["large", "small", "a", "b"]
)
def test_a_set_that_was_prepared_otherwise_is_named(
    proto: onnx.ModelProto, scale: float, told: str, tmp_path: Path
) -> None:
    """Bytes of pixels beside a calibration set of shares of 1, and the other way round."""
    seen = np.clip(random(64, 8), -4, 4)
    seen[0, 0] = 4
    judged = Samples({"x": (seen * np.float32(scale)).astype(np.float32)}, batch=16)
    check = OutputDrift(snr=17 if told else 90)
    _, [found] = measured(proto, int8(method="minmax"), judged, tmp_path, check, calibration=Samples({"x": seen}))
    assert found.verdict is Verdict.FAILED
    said = f"input 'x' has magnitudes up to {told} in these samples, and up to 4 in the calibration set: calibrate on"
    assert (said in found.message) is bool(told), found.message
    assert ("in the calibration set" in found.message) is bool(told)
    assert (", or by percentile where few of the set" in found.message) is (scale == 1 / 255)


def test_a_set_and_a_method_that_are_both_wrong_are_both_named(tmp_path: Path) -> None:
    seen = loud()
    asked, judged = int8(method="percentile", percentile=95), Samples({"x": 20 * seen}, batch=50)
    _, [found] = measured(product(), asked, judged, tmp_path, OutputDrift(snr=90), calibration=Samples({"x": seen}))
    assert "up to 180 in these samples, and up to 9 in the calibration set: calibrate on samples like" in found.message
    assert "; calibration by percentile 95 keeps 11 % of the range of tensor 'x'" in found.message


def test_no_method_is_advised_beside_what_that_method_cuts(tmp_path: Path) -> None:
    seen = loud()
    asked, judged = int8(method="percentile", percentile=95), Samples({"x": seen / 400}, batch=50)
    _, [found] = measured(product(), asked, judged, tmp_path, OutputDrift(snr=90), calibration=Samples({"x": seen}))
    assert "and up to 9 in the calibration set" in found.message
    assert "; calibration by percentile 95 keeps 11 % of the range of tensor 'x'" in found.message
    assert "or by percentile" not in found.message


@pytest.mark.parametrize(
    ("precision", "scale", "told"), [("int8", 1 / 32, True), ("fp8", 1 / 32, False), ("fp8", 255, True)]
)
def test_small_samples_take_steps_of_int8_alone(precision: str, scale: float, told: bool, tmp_path: Path) -> None:
    seen = np.clip(random(64, 8), -4, 4)
    asked = candidate(precision, calibration={"uri": "file:///calibration.npz", "method": "minmax"})
    judged = Samples({"x": (seen * np.float32(scale)).astype(np.float32)}, batch=16)
    _, [found] = measured(product(), asked, judged, tmp_path, OutputDrift(snr=90), calibration=Samples({"x": seen}))
    assert found.verdict is Verdict.FAILED
    assert ("in the calibration set" in found.message) is told, found.message


@pytest.mark.parametrize("few", ["judged", "seen"])
def test_a_few_samples_that_are_larger_make_no_other_set(few: str, tmp_path: Path) -> None:
    """Those that are judged, and so are all others; or those of the set, of whose range the method cuts them."""
    seen = np.clip(random(400, 8), -1, 1)
    judged = seen.copy()
    (judged if few == "judged" else seen)[:4] *= 100
    data, asked = Samples({"x": judged}, batch=50), int8(method="percentile", percentile=95)
    _, [found] = measured(product(), asked, data, tmp_path, OutputDrift(snr=90), calibration=Samples({"x": seen}))
    assert found.verdict is Verdict.FAILED
    assert "in the calibration set" not in found.message


Draw = Callable[[np.random.Generator, tuple[int, int]], Any]


@pytest.mark.parametrize(
    ("precision", "draw", "calibrated", "judged"),
    [
        ("int8", lambda some, shape: some.lognormal(0, 1, shape), 64, 2000),
        ("int8", lambda some, shape: some.lognormal(0, 1, shape), 2000, 64),
        ("int8", lambda some, shape: some.lognormal(0, 2, shape), 16, 200),
        # Where the set's largest is that far out, all samples have few steps of INT8, and that is said.
        ("fp8", lambda some, shape: some.standard_t(2, shape), 64, 4),
        ("fp8", lambda some, shape: some.standard_cauchy(shape), 8, 200),
    ],
)
def test_a_set_of_the_same_distribution_is_not_accused_and_one_of_other_units_is(
    precision: str, draw: Draw, calibrated: int, judged: int
) -> None:
    """However heavy the tails are: the largest of few is far from the largest of many."""
    for seed in range(200):
        some = np.random.default_rng(seed)
        seen, data = draw(some, (calibrated, 30)), draw(some, (judged, 30))
        assert unlike(seen, data, precision) is None, seed
    shares = np.random.default_rng(0).random((calibrated, 30))
    others = np.random.default_rng(1).random((judged, 30))
    assert unlike(shares, 255 * others, precision) is not None
    assert (unlike(255 * shares, others, precision) is not None) is (precision == "int8")


def unlike(seen: Any, judged: Any, precision: str) -> Unlike | None:
    """What is said of samples beside a set whose whole range is kept."""
    peak = float(np.abs(seen).max())
    found = InputPeaks({"x": Range(peak, peak)}, precision)
    for first in range(0, len(judged), 500):
        found.add(Batch(first, len(judged[first : first + 500]), {"x": judged[first : first + 500]}))
    return found.unlike


def test_samples_count_along_their_axis_without_padding_or_what_is_infinite() -> None:
    ranges = {"x": Range(0.0, 0.0), "y": Range(1.0, 1.0), "unseen": Range(1.0, 1.0)}
    found = InputPeaks(ranges, "int8")
    assert found.unlike is None
    found.add(Batch(0, 2, {"x": np.zeros((3, 2)), "y": np.array([1.0, np.inf])}, axes={"x": 1}))
    assert found.unlike is None
    found.add(Batch(2, 2, {"x": np.array([[0.5, 0, 9], [0, 0, 0]]), "y": np.array([1.0, 1, 9])}, axes={"x": 1}))
    assert found.unlike is None, "one of four samples is larger"
    found.add(Batch(4, 3, {"x": np.array([[0.5, 1, 2, 9]]), "y": np.ones(4)}, axes={"x": 1}))
    assert found.unlike == Unlike("x", 2.0, 0.0)


def test_what_passed_says_it_in_a_note_alone(tmp_path: Path) -> None:
    data = Samples({"x": loud()}, batch=50)
    asked = int8(method="percentile", percentile=95)
    report, [found] = measured(product(), asked, data, tmp_path, OutputDrift(snr=-100), calibration=data)
    assert found.verdict is Verdict.PASSED
    assert "calibration" not in found.message
    assert any("to 11 % of its range" in note for note in report.notes)


def test_a_build_that_is_taken_from_the_cache_still_knows(tmp_path: Path) -> None:
    store, made = open_store(Storage()), loaded(product(), tmp_path)
    shard(tmp_path / "calib" / "part.npz", x=loud())
    calibration = open_dataset(store, Source(uri=f"file://{tmp_path}/calib/"), made, tmp_path / "scratch")
    order = order_of(int8(method="percentile", percentile=95), made.path)
    request = BuildRequest(ORT, made, order, calibration, "versions", {})
    first, second = (
        build_or_take(request, tmp_path / name, Heard(), store, f"file://{tmp_path}/cache")[0] for name in ("a", "b")
    )
    assert second.path.parent.name == "cached"
    assert first.seen == second.seen
    assert list(second.seen) == ["x"]
    assert second.seen["x"].end == pytest.approx(1, rel=0.01)
    assert second.seen["x"].peak == 9
    assert first.cut is not None
    assert first.cut == second.cut


def test_other_precisions_cut_nothing(tmp_path: Path) -> None:
    assert build(loaded(product(), tmp_path), candidate("fp16"), tmp_path).cut is None
