"""Sums of large FP32 tensors, which are summed in FP32, held against the same in float64."""

from __future__ import annotations

import math

import numpy as np
import pytest

from assay_runner.statistics.blocks import BLOCK, Sums
from assay_runner.statistics.products import FEW, ROW
from assay_runner.tensors import Array

NEAR = 1e-6
SIZE = 2 * BLOCK + 3 * ROW + 17


def both(golden: Array, candidate: Array) -> tuple[Sums, Sums]:
    """Sums of FP32, and of the same numbers in float64."""
    found, wanted = Sums(), Sums()
    found.add(golden, candidate)
    wanted.add(golden.astype(np.float64), candidate.astype(np.float64))
    return found, wanted


def assert_alike(golden: Array, candidate: Array) -> None:
    assert golden.dtype == candidate.dtype == np.float32
    found, wanted = both(golden, candidate)
    assert (found.bad, found.elements, found.max_abs) == (wanted.bad, wanted.elements, wanted.max_abs)
    assert found.signal == pytest.approx(wanted.signal, rel=NEAR)
    assert found.noise == pytest.approx(wanted.noise, rel=NEAR)
    assert found.snr == pytest.approx(wanted.snr, abs=1e-5)
    if not wanted.bad:
        # How far from 1, as far as float64 tells it.
        assert 1 - found.cosine == pytest.approx(1 - wanted.cosine, rel=1e-4, abs=1e-8)


def drawn(scale: float = 1.0, seed: int = 0, size: int = SIZE) -> Array:
    with np.errstate(under="ignore"):
        return (np.random.default_rng(seed).standard_normal(size) * scale).astype(np.float32)


@pytest.mark.parametrize("size", [1, FEW, FEW + 1, BLOCK, BLOCK + 1, SIZE])
@pytest.mark.parametrize("far", [1e-7, 1e-3, 1.0, 1e3])
def test_of_any_size_and_distance(size: int, far: float) -> None:
    assert_alike(drawn(size=size), drawn(size=size) + drawn(far, 1, size))


@pytest.mark.parametrize("scale", [1e-44, 1e-38, 1e-30, 1e-20, 1e-12, 1e-6, 1e6, 1e15, 1e19, 1e30, 3e37])
@pytest.mark.parametrize("far", [1e-7, 1e-3, 1.0])
def test_of_any_magnitude(scale: float, far: float) -> None:
    """Squares of numbers beyond 1e19 overflow in FP32, and those of numbers below 1e-19 vanish."""
    assert_alike(drawn(scale), drawn(scale) + drawn(scale * far, 1))


def test_tiny_numbers_beside_large_ones() -> None:
    golden = drawn() * np.where(np.arange(SIZE) % 3, np.float32(1e-25), np.float32(1e3))
    assert_alike(golden, golden + golden[::-1] * np.float32(1e-4))
    assert_alike(golden, np.where(np.arange(SIZE) % 3, golden * 2, golden).astype(np.float32))


@pytest.mark.parametrize("left", [0.0, 1e-6, 1e-4, 1e-2, 0.1, 0.3, 0.9, 2.0, -1.0, -1e-3])
def test_what_is_a_part_of_golden_has_its_direction(left: float) -> None:
    golden = drawn()
    assert_alike(golden, golden * np.float32(left))
    assert_alike(golden, golden * np.float32(left) + drawn(abs(left) / 10, 2))


def test_a_dead_candidate_and_a_dead_golden() -> None:
    assert both(drawn(), np.zeros(SIZE, np.float32))[0].cosine == 0
    assert both(np.zeros(SIZE, np.float32), drawn())[0].snr == -math.inf
    assert both(np.zeros(SIZE, np.float32), np.zeros(SIZE, np.float32))[0].cosine == 1
    assert both(drawn(), drawn())[0].snr == math.inf


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 3.4e38])
@pytest.mark.parametrize("place", [0, BLOCK + 5, SIZE - 1])
def test_what_is_not_finite_counts_as_ever(value: float, place: int) -> None:
    golden, candidate = drawn(), drawn() + drawn(1e-3, 1)
    candidate[place] = value
    assert_alike(golden, candidate)
    golden[place] = value
    assert_alike(golden, candidate)
    candidate[place] = 1
    assert_alike(golden, candidate)


def test_the_largest_difference_is_exact_among_those_that_fp32_cannot_tell_apart() -> None:
    golden, candidate = np.ones(SIZE, np.float32), np.full(SIZE, 65504, np.float32)
    golden[BLOCK + 7] = 1 - 2.0**-24
    assert both(golden, candidate)[0].max_abs == 65503 + 2.0**-24


def test_golden_beside_itself_is_read_once() -> None:
    golden, sums = drawn(), Sums(cross=None)
    sums.add(golden, golden)
    assert (sums.noise, sums.snr) == (0, math.inf)
    assert sums.signal == pytest.approx(float((golden.astype(np.float64) ** 2).sum()), rel=NEAR)
