"""Ranges of all methods in one pass: histograms that widen, prefixes of the set, and what two passes would give."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay_runner.backends.calibration import WAYS, Way, ranges, swept
from assay_runner.backends.found import Found, Range
from assay_runner.backends.histograms import BINS, Magnitudes
from assay_runner.backends.order import BuildOrder, Quantisation
from assay_runner.backends.thresholds import LEVELS, STEP, entropy_threshold, mse_threshold, percentile_threshold
from assay_runner.errors import CannotBuild
from assay_runner.graphs.eight_bit import EightBit
from assay_runner.graphs.sample_axes import SampleAxes
from assay_runner.tensors import Array, Arrays
from tests.models import Heard, Samples, random
from tests.runner.numerics.test_thresholds import KINDS, histogram, squared_error

AXES = SampleAxes({"x": 0})
ENTROPY_BINS, OTHER_BINS = 2048, 8192


class Counting:
    """Shows no tensor beyond the inputs, and counts how often it is run, and on how much."""

    def __init__(self) -> None:
        self.fed: list[int] = []

    def run(self, inputs: Arrays) -> dict[str, Array]:
        self.fed.append(len(inputs["x"]))
        return {}


def distribution(seed: int) -> Array:
    """One of many, as activations have them."""
    rng, n = np.random.default_rng(seed), 40_000
    kinds = (
        lambda: rng.standard_normal(n),
        lambda: np.maximum(rng.standard_normal(n), 0),
        lambda: rng.laplace(size=n),
        lambda: np.append(rng.standard_normal(n), rng.uniform(5, 60)),
        lambda: rng.uniform(0, rng.uniform(1, 9), n),
        lambda: np.exp(rng.uniform(0.5, 2) * rng.standard_normal(n)),
        lambda: 1 / (1 + np.exp(-3 * rng.standard_normal(n))),
        lambda: rng.integers(0, 256, n) / 255,
    )
    values: Array = kinds[seed % len(kinds)]().astype(np.float32)
    return values


def by_divergence(counts: Array) -> Array:
    """Of every edge that entropy tries, straight from its definition: Σ p log(p / q)."""
    found = []
    for edge in range(LEVELS, len(counts) + 1, STEP):
        kept = counts[:edge].astype(np.float64)
        p = kept.copy()
        p[-1] += counts[edge:].sum()
        level, filled = np.arange(edge) * LEVELS // edge, kept > 0
        mean = np.bincount(level, kept, LEVELS) / np.maximum(np.bincount(level, filled, LEVELS), 1)
        q = np.maximum(np.where(filled, mean[level], 0), 1e-4)
        found.append(np.sum(p[p > 0] * np.log(p[p > 0] / q[p > 0])) / p.sum())
    return np.array(found)


@given(st.lists(st.lists(st.floats(-(2.0**80), 2.0**80, width=32), max_size=20), min_size=1, max_size=6))
def test_a_histogram_that_widens_is_that_of_the_range_known_before(batches: list[list[float]]) -> None:
    seen = Magnitudes()
    for batch in batches:
        seen.add(np.array(batch, np.float32))
    every = np.abs(np.array([value for batch in batches for value in batch], np.float32)).astype(np.float64)
    assert seen.peak == every.max(initial=0)
    assert seen.peak < seen.end <= max(2 * seen.peak, 2.0**-100)
    wanted = np.bincount((every[every > 0] / seen.end * BINS).astype(int), minlength=BINS)
    assert np.array_equal(seen.counts, wanted)


@pytest.mark.parametrize("seed", range(24))
def test_entropy_diverges_no_more_than_by_two_passes(seed: int) -> None:
    values = distribution(seed)
    counts = histogram(values, ENTROPY_BINS)
    wanted = by_divergence(counts)
    # What is counted faster is the same.
    assert entropy_threshold(counts) * ENTROPY_BINS == LEVELS + STEP * int(np.argmin(wanted))
    seen = Magnitudes()
    seen.add(values)
    edge = round(entropy_threshold(seen.resampled(ENTROPY_BINS)) * ENTROPY_BINS)
    assert wanted[(edge - LEVELS) // STEP] <= wanted.min() + 1e-4


@pytest.mark.parametrize("seed", range(24))
def test_the_others_are_those_of_two_passes(seed: int) -> None:
    values = distribution(seed)
    peak = float(np.abs(values).max())
    counts = histogram(values, OTHER_BINS)
    data = Samples({"x": values.reshape(-1, 1)}, batch=7_777)
    for kind in KINDS:
        [found] = swept(Counting(), data, frozenset({"x"}), WAYS, (), Heard(), axes=AXES, kind=kind).values()
        assert found[Way("minmax")]["x"] == (peak, peak)
        errors = [
            squared_error(values, clip, kind)
            for clip in (found[Way("mse")]["x"].end, peak * mse_threshold(counts, kind))
        ]
        assert errors[0] <= 1.001 * errors[1]
        for share in (99.9, 99.99, 99.999, 99.9999):
            wanted = peak * percentile_threshold(counts, share)
            assert found[Way("percentile", share)]["x"].end == pytest.approx(wanted, abs=1.001 * peak / OTHER_BINS)


def test_a_set_is_read_once_for_all_methods_and_sizes() -> None:
    session, heard = Counting(), Heard()
    data = Samples({"x": random(100, 1, seed=3)}, batch=16)
    found = swept(session, data, frozenset({"x"}), WAYS, (25, 50, 1000), heard, axes=AXES)
    assert list(found) == [25, 50, 100]
    assert sum(session.fed) == heard.units == 100
    assert heard.stages == ["calibrate"]
    for size, by_way in found.items():
        first = Samples({"x": data.arrays["x"][:size]}, batch=9)
        for way, each in by_way.items():
            alone = ranges(
                Counting(), first, frozenset({"x"}), way.method, Heard(), axes=AXES, percentile=way.percentile
            )
            assert each == alone


def test_batches_that_a_model_fixes_stay_whole() -> None:
    session = Counting()
    data = Samples({"x": random(100, 1, seed=3)}, batch=16, fixed=True)
    found = swept(session, data, frozenset({"x"}), WAYS, (25,), Heard(), axes=AXES, whole=True)
    assert list(found) == [32, 100]
    assert set(session.fed) == {16}


@pytest.mark.parametrize("kind", KINDS)
def test_a_number_that_is_none_is_refused(kind: EightBit) -> None:
    for wrong in (math.nan, math.inf, -math.inf):
        data = Samples({"x": np.array([[1], [wrong], [2]], np.float32)}, batch=1)
        with pytest.raises(CannotBuild, match="not finite"):
            swept(Counting(), data, frozenset({"x"}), WAYS, (), Heard(), axes=AXES, kind=kind)


def test_known_ranges_tell_orders_apart_by_their_values() -> None:
    def order(**more: object) -> str:
        return BuildOrder("onnxruntime", "int8", quantisation=Quantisation(**more)).canonical()  # type: ignore[arg-type]

    ranges_ = {"b": Range(1.0, 2.0), "a": Range(3.0, 3.0)}
    one, same = Found.of(ranges_, 10), Found.of(dict(reversed(ranges_.items())), 10)
    other = Found.of({**ranges_, "a": Range(math.nextafter(3.0, 4), 3.0)}, 10)
    assert order(found=one) == order(found=same) != order(found=other)
    assert hash(BuildOrder("onnxruntime", "int8", quantisation=Quantisation(found=one)))
    assert order() != order(found=one) != order(weights_only=True) != order()
    # As before there were known ranges, so that what was built before is found.
    assert '"quantisation": {"method": "entropy", "per_channel": true, "percentile": 99.99, "quantization": null}' in (
        order()
    )
