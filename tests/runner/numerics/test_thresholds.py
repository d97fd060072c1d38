"""Clips chosen from a histogram, held against the same choice made by brute force on the values themselves."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from assay_runner.backends.calibration import BINS, Method, ranges
from assay_runner.backends.thresholds import LEVELS, entropy_threshold, mse_threshold, percentile_threshold
from assay_runner.graphs.eight_bit import FORMATS, EightBit
from assay_runner.graphs.sample_axes import SampleAxes
from assay_runner.tensors import Array, Arrays
from tests.models import Heard, Samples, random

KINDS: tuple[EightBit, ...] = ("int8", "fp8")


class Nothing:
    """Shows no tensor beyond the inputs."""

    def run(self, inputs: Arrays) -> dict[str, Array]:
        return {}


def found(values: Array, method: Method, batch: int = 16, **more: float) -> float:
    data = Samples({"x": values.astype(np.float32).reshape(-1, 1)}, batch=batch)
    return ranges(Nothing(), data, frozenset({"x"}), method, Heard(), axes=SampleAxes({"x": 0}), **more)["x"].end  # type: ignore[arg-type]


def histogram(values: Array, bins: int) -> Array:
    magnitudes = np.abs(values[values != 0])
    return np.histogram(magnitudes, bins, range=(0, magnitudes.max()))[0]


def squared_error(values: Array, clip: float, kind: EightBit) -> float:
    """Of the values themselves, after clipping at `clip` and rounding to the format."""
    form = FORMATS[kind]
    scale = form.scale(clip)
    restored = form.quantised(values.astype(np.float32), scale).astype(np.float64) * scale
    return float(np.mean(np.square(restored - values)))


DISTRIBUTIONS = {
    "normal": random(4096, seed=1),
    "relu": np.maximum(random(4096, seed=2), 0),
    "outlier": np.append(random(4095, seed=3), np.float32(60)),
    "uniform": np.random.default_rng(4).uniform(-3, 3, 4096).astype(np.float32),
    "laplace": np.random.default_rng(5).laplace(size=4096).astype(np.float32),
    "grey": np.random.default_rng(6).integers(0, 17, 4096).astype(np.float32) / 16,
    "one": np.full(64, 2.5, np.float32),
}


@pytest.mark.parametrize("percentile", [50, 90, 99, 99.9, 99.99, 100])
@pytest.mark.parametrize("name", sorted(DISTRIBUTIONS))
def test_percentile_is_that_of_the_magnitudes_within_a_bin(name: str, percentile: float) -> None:
    values = DISTRIBUTIONS[name]
    magnitudes = np.sort(np.abs(values[values != 0]))
    # The value with that share of the others at or below it, which lies in the bin that interpolation ends in.
    rank = max(int(np.ceil(len(magnitudes) * percentile / 100)), 1) - 1
    width = 2 * float(magnitudes[-1]) / BINS["percentile"]  # The bins end at a power of two.
    assert found(values, "percentile", percentile=percentile) == pytest.approx(magnitudes[rank], abs=1.001 * width)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", sorted(DISTRIBUTIONS))
def test_mse_is_the_best_clip_that_brute_force_finds(name: str, kind: EightBit) -> None:
    values = DISTRIBUTIONS[name]
    peak = float(np.abs(values).max())
    clip = found(values, "mse", kind=kind)  # type: ignore[arg-type]
    chosen = squared_error(values, clip, kind)
    # A bin stands for its middle.
    blur = (peak / BINS["mse"]) ** 2
    tried = (squared_error(values, peak * 2 ** -(step / 16), kind) for step in range(129))
    assert chosen <= 1.01 * min(tried) + blur
    if name != "grey":  # A few levels can be met exactly by a clip between those tried.
        finer = (squared_error(values, peak * share, kind) for share in np.geomspace(1 / 256, 1, 500))
        assert chosen <= 1.1 * min(finer) + blur


@pytest.mark.parametrize("kind", KINDS)
def test_mse_clips_an_outlier_only_where_that_pays(kind: EightBit) -> None:
    bulk = random(400_000, seed=1)
    clip = found(np.append(bulk, np.float32(60)), "mse", batch=1 << 17, kind=kind)  # type: ignore[arg-type]
    # FP8's steps shrink with the value, so keeping the outlier costs the bulk next to nothing.
    assert clip < 30 if kind == "int8" else clip > 50


@pytest.mark.parametrize("method", ["percentile", "mse"])
@pytest.mark.parametrize("batch", [1, 7, 100])
def test_the_choice_does_not_depend_on_the_batches(method: Method, batch: int) -> None:
    values = DISTRIBUTIONS["outlier"][:300]
    assert found(values, method, batch) == found(values, method, 300)


@pytest.mark.parametrize("method", sorted(BINS))
def test_zeros_count_for_nothing(method: Method) -> None:
    values = DISTRIBUTIONS["laplace"]
    padded = np.concatenate([values, np.zeros(1_000_000, np.float32)])
    assert found(padded, method, batch=1 << 18) == found(values, method, batch=1 << 18)


@pytest.mark.parametrize("method", ["minmax", *sorted(BINS)])
def test_what_is_always_zero_has_a_range_of_zero(method: Method) -> None:
    assert found(np.zeros(5), method) == 0


@given(hnp.arrays(np.int64, BINS["mse"], elements=st.integers(0, 50), fill=st.just(0)), st.floats(50, 100))
def test_every_method_gives_a_share_of_the_range(counts: Array, percentile: float) -> None:
    assert 0 < percentile_threshold(counts, percentile) <= 1
    for kind in KINDS:
        assert 0 < mse_threshold(counts, kind) <= 1
    coarse = counts.reshape(BINS["entropy"], -1).sum(axis=1)
    assert LEVELS / BINS["entropy"] <= entropy_threshold(coarse) <= 1


def test_entropy_cuts_a_lone_outlier_and_keeps_what_is_spread() -> None:
    rng = np.random.default_rng(0)
    normal = rng.standard_normal(200_000)
    bins = BINS["entropy"]
    assert entropy_threshold(histogram(np.append(normal, 50.0), bins)) * 50 < 7
    assert entropy_threshold(histogram(rng.uniform(size=200_000), bins)) > 0.95
    assert entropy_threshold(histogram(normal, bins)) > 0.8


def test_entropy_keeps_all_of_a_few_discrete_levels() -> None:
    grey = np.random.default_rng(0).integers(0, 17, 10_000) / 16
    assert entropy_threshold(histogram(grey, BINS["entropy"])) == 1
