"""The paired interval: its claims are wrong in at most 5 % of cases, by enumeration of all that can happen."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest
from numpy.typing import NDArray

from assay_runner.statistics.paired import Pairs, bounds, keeps, samples_to_settle, score

KEEPS = (0.9, 0.95, 0.99, 0.999)


def log_factorials(n: int) -> NDArray[np.float64]:
    return np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, n + 1)))])


def claims(m: int, keep: float, gain: float) -> tuple[float, float]:
    """Probabilities to claim a pass and a failure of a candidate exactly at the bar.

    Args:
        m: samples that either run hits.
        keep: the bar, and the true ratio.
        gain: share of them that only the candidate hits.
    """
    loss = 1 - keep + keep * gain
    table, passed, failed = log_factorials(m), 0.0, 0.0
    for b, c in product(range(m + 1), repeat=2):
        a = m - b - c
        if a < 0 or (c and gain == 0):
            continue
        verdict = keeps(Pairs(a, b, c, 0), keep)
        if verdict is None:
            continue
        log = table[m] - table[a] - table[b] - table[c]
        log += a * math.log(1 - loss - gain) + b * math.log(loss) + (c * math.log(gain) if c else 0)
        passed, failed = passed + math.exp(log) * (verdict is True), failed + math.exp(log) * (verdict is False)
    return passed, failed


@pytest.mark.parametrize("keep", KEEPS)
@pytest.mark.parametrize("m", [5, 12, 30, 60])
def test_wrong_claims_are_rarer_than_one_in_twenty(m: int, keep: float) -> None:
    for gain in (0, 0.005, 0.02, 0.05, 0.1, 0.2):
        passed, failed = claims(m, keep, gain)
        assert passed <= 0.05
        assert failed <= 0.05


def by_definition(pairs: Pairs, phi: float) -> float:
    """The score statistic, by what it is and not by its closed form.

    Per sample that either run hits, u = 1 - phi where both do, -phi where golden alone does, 1 where the candidate
    alone does. The statistic is the sum of u over its standard deviation, with the shares (a, b, c) that are likeliest
    among those whose ratio of hit rates is phi, that is whose mean u is 0: a = phi (1 - c) - c, b = 1 - phi (1 - c).
    Their likelihood is concave in c, so that thirds find its maximum.
    """
    seen = np.array([pairs.both, pairs.golden, pairs.candidate])

    def shares(c: float) -> NDArray[np.float64]:
        return np.array([phi * (1 - c) - c, 1 - phi * (1 - c), c])

    def likelihood(c: float) -> float:
        return float((seen * np.log(shares(c))).sum())

    low, high = max(0.0, 1 - 1 / phi), phi / (1 + phi)
    for _ in range(200):
        left, right = low + (high - low) / 3, high - (high - low) / 3
        low, high = (left, high) if likelihood(left) < likelihood(right) else (low, right)
    u = np.array([1 - phi, -phi, 1])
    variance = seen.sum() * float((shares((low + high) / 2) * u**2).sum())
    return float((seen * u).sum()) / math.sqrt(variance)


@pytest.mark.parametrize("phi", [0.5, 0.9, 0.97, 1, 1.2])
@pytest.mark.parametrize("pairs", [Pairs(90, 6, 2, 10), Pairs(50, 30, 1, 0), Pairs(970, 5, 25, 9), Pairs(3, 20, 14, 2)])
def test_the_score_is_the_one_of_its_definition(pairs: Pairs, phi: float) -> None:
    z = score(pairs, phi, 0)
    assert z == pytest.approx(by_definition(pairs, phi), rel=1e-6, abs=1e-9)
    excess = pairs.both + pairs.candidate - phi * (pairs.both + pairs.golden)
    for correction in (0.5, 0.75):
        drawn = max(0.0, abs(excess) - correction) / abs(excess) if excess else 0.0
        assert score(pairs, phi, correction) == pytest.approx(z * drawn)


@pytest.mark.parametrize(("keep", "hits"), [(0.9, 40), (0.95, 80), (0.99, 400), (0.999, 4000)])
def test_without_disagreement_exactness_is_the_lower_bound(keep: float, hits: int) -> None:
    needed = next(n for n in range(1, hits) if keeps(Pairs(n, 0, 0, 3), keep))
    assert keep**needed <= 0.05
    assert keeps(Pairs(needed - 1, 0, 0, 3), keep) is None


def test_twelve_samples_cannot_pass_a_strict_bar() -> None:
    few = Pairs(12, 0, 0, 0)
    assert keeps(few, 0.999) is None
    needed = samples_to_settle(few, 0.999)
    assert needed is not None
    assert needed > 2995
    assert keeps(few.times(needed / 12), 0.999)


@pytest.mark.parametrize("keep", KEEPS)
@pytest.mark.parametrize("pairs", [Pairs(90, 6, 2, 10), Pairs(300, 0, 0, 5), Pairs(50, 30, 1, 0), Pairs(970, 5, 25, 9)])
def test_bounds_say_what_the_test_says(pairs: Pairs, keep: float) -> None:
    low, high = bounds(pairs)
    assert low < pairs.ratio < high
    verdict = True if keep <= low else False if keep >= high else None
    assert keeps(pairs, keep) is verdict


def test_more_of_the_same_settles_unless_it_stands_at_the_bar() -> None:
    close = Pairs(965, 20, 5, 10)
    assert keeps(close, 0.98) is None
    needed = samples_to_settle(close, 0.98)
    assert needed is not None
    assert needed > 1000
    assert keeps(close.times(needed * 1.01 / 1000), 0.98)
    assert keeps(close.times(needed * 0.97 / 1000), 0.98) is None
    assert samples_to_settle(Pairs(990, 10, 0, 0), 0.99) is None


def test_a_candidate_that_never_hits_keeps_nothing_at_the_least() -> None:
    low, high = bounds(Pairs(0, 40, 0, 5))
    assert low == 0
    assert 0 < high < 0.2


def test_more_samples_than_anyone_has_settle_nothing() -> None:
    """Half a hit in a thousand millions is no difference that could be shown."""
    at_the_bar = Pairs(99_000, 1_000, 0, 0)
    assert samples_to_settle(at_the_bar, 0.99 - 1e-7) is None
    assert samples_to_settle(at_the_bar.times(1e5), 0.98) is None


def test_nothing_tells_nothing() -> None:
    assert keeps(Pairs(0, 0, 0, 9), 0.99) is None
    assert math.isnan(Pairs(0, 0, 0, 9).ratio)
    assert samples_to_settle(Pairs(0, 0, 0, 0), 0.99) is None
