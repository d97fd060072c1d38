"""The paired test of two answers: false alarms and power, enumerated, and what is told of its limits."""

from __future__ import annotations

import math
from math import comb, exp, lgamma, log

import numpy as np
import pytest

from assay_runner.statistics.bits import packed, unpacked
from assay_runner.statistics.changes import ALPHA, most_by_chance, p_worse


def binomial(n: int, k: int, p: float) -> float:
    spread = lgamma(n + 1) - lgamma(k + 1) - lgamma(n - k + 1)
    return exp(spread + (k * log(p) if k else 0.0) + ((n - k) * log(1 - p) if n - k else 0.0))


def alarms(samples: int, differing: float, lost: float) -> float:
    """The exact probability that a loss is told, where a share of samples differ, and of these a share is lost."""
    total = 0.0
    for n in range(1, samples + 1):
        weight = binomial(samples, n, differing)
        if weight > 1e-12:
            total += weight * sum(binomial(n, b, lost) for b in range(most_by_chance(n) + 1, n + 1))
    return total


def test_a_point_in_1240_samples_of_which_2_percent_differ_is_found_four_times_in_five() -> None:
    # 1.5 % lost and 0.5 % gained: a point.
    assert alarms(1240, 0.02, 0.75) >= 0.8


@pytest.mark.parametrize("differing", [0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1])
@pytest.mark.parametrize("samples", [50, 400, 1240])
def test_nothing_that_has_not_changed_alarms_more_often_than_it_may(samples: int, differing: float) -> None:
    assert alarms(samples, differing, 0.5) <= 0.05


@pytest.mark.parametrize(("lost", "gained"), [(0, 0), (1, 0), (4, 0), (5, 0), (17, 8), (16, 9), (8, 17), (999, 900)])
def test_the_value_is_what_its_definition_says(lost: int, gained: int) -> None:
    n = lost + gained
    beyond = sum(comb(n, k) for k in range(lost + 1, n + 1)) / 2**n
    wanted = beyond + comb(n, lost) / 2**n / 2 if n else 1.0
    assert p_worse(lost, gained) == pytest.approx(wanted)


def test_beyond_the_sum_the_curve_goes_on() -> None:
    for lost in (1000, 1030, 1050):
        exact = p_worse(lost, 2000 - lost)
        assert p_worse(lost + 1, 2001 - lost) == pytest.approx(exact, abs=0.02)


@pytest.mark.parametrize("n", [0, 1, 3, 4, 5, 25, 100, 1999, 5000])
def test_what_chance_allows_is_told_as_a_number_of_samples(n: int) -> None:
    most = most_by_chance(n)
    assert p_worse(most, n - most) > ALPHA or n == 0
    assert most == n or p_worse(most + 1, n - most - 1) <= ALPHA
    assert math.isfinite(most)


@pytest.mark.parametrize("count", [0, 1, 7, 8, 9, 1000])
def test_bits_come_back(count: int) -> None:
    flags = np.random.default_rng(count).random(count) < 0.5
    back = unpacked(packed(flags), count)
    assert back is not None
    assert (back == flags).all()
    assert unpacked(packed(flags), count + 8) is None
    assert unpacked("no base64!", 8) is None
