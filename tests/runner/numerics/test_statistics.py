"""Streaming statistics against plain numpy in float64, and what is said of values that are not finite."""

from __future__ import annotations

import math

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from assay_runner.statistics.blocks import BLOCK, Sums, add_together, cosine, sums_of
from assay_runner.statistics.quantiles import bad_end, worst_index
from assay_runner.statistics.ranges import RangeCounts
from assay_runner.statistics.row_sums import BROKEN, VOID, row_sums, within_reach
from assay_runner.statistics.samples import drift, identical, ranks, same_top_k, top
from assay_runner.tensors import Array

FINITE = st.floats(-1e6, 1e6, width=32)
PAIRS = hnp.array_shapes(min_dims=2, max_dims=3, max_side=6).flatmap(
    lambda shape: st.tuples(*(hnp.arrays(np.float32, shape, elements=FINITE) for _ in range(2)))
)


def decibel(signal: float, noise: float) -> float:
    if noise == 0:
        return math.inf
    return 10 * math.log10(signal / noise) if signal > 0 and signal / noise > 0 else -math.inf


def similarity(g: Array, c: Array) -> float:
    if not g.any() or not c.any():
        return float(not g.any() and not c.any())
    return float((g / np.abs(g).max() * (c / np.abs(c).max())).sum() / norm(g) / norm(c))


def norm(array: Array) -> float:
    return float(np.sqrt(((array / np.abs(array).max()) ** 2).sum()))


@given(PAIRS)
def test_sums_over_all_elements(pair: tuple[Array, Array]) -> None:
    g, c = (array.astype(np.float64) for array in pair)
    sums = Sums()
    for left, right in zip(*pair, strict=True):
        sums.add(left, right)
    d = c - g
    assert sums.elements == g.size
    assert sums.max_abs == np.abs(d).max()
    assert sums.rms == pytest.approx(math.sqrt((d**2).mean()))
    assert sums.snr == pytest.approx(decibel((g**2).sum(), (d**2).sum()), abs=1e-6)
    if (c**2).sum() > 1e-6 * (g**2).sum() or not c.any():
        assert sums.cosine == pytest.approx(similarity(g, c), abs=1e-6)
    else:
        assert abs(sums.cosine) <= abs(similarity(g, c)) + 1e-3


@given(PAIRS)
def test_drift_per_sample(pair: tuple[Array, Array]) -> None:
    found = drift(*pair)
    for index, (g, c) in enumerate(zip(*(array.astype(np.float64) for array in pair), strict=True)):
        d, peak = np.abs(c - g), np.abs(g).max()
        scale = np.maximum(np.abs(g), 1e-3 * peak)
        with np.errstate(divide="ignore", invalid="ignore"):
            relative = np.where(d == 0, 0, d / scale).max()
        assert found.max_abs[index] == d.max()
        assert found.cosine[index] == pytest.approx(similarity(g, c), abs=1e-6)
        assert found.max_rel[index] == pytest.approx(relative)
        assert found.snr[index] == pytest.approx(decibel((g**2).sum(), (d**2).sum()), abs=1e-6)
        assert found.psnr[index] == pytest.approx(decibel(peak**2, (d**2).mean()), abs=1e-6)
    assert not (found.broken | found.nan | found.void).any()
    assert found.compared.tolist() == [pair[0][0].size] * len(pair[0])


def test_blocks_are_only_a_way_to_go(rng: np.random.Generator) -> None:
    g = rng.standard_normal((3, BLOCK + 17)).astype(np.float32)
    c = g + rng.standard_normal(g.shape).astype(np.float32) * 1e-3
    whole, d = drift(g, c), c.astype(np.float64) - g
    assert np.array_equal(whole.max_abs, np.abs(d).max(axis=1))
    assert whole.snr == pytest.approx(10 * np.log10((g.astype(np.float64) ** 2).sum(axis=1) / (d**2).sum(axis=1)))
    for first, near in ((g, 1e-6), (g.astype(np.float64), 1e-12)):
        sums = Sums()
        sums.add(first, c)
        assert sums.noise == pytest.approx((d**2).sum(), rel=near)
        assert sums.max_abs == np.abs(d).max()


def test_who_looks_on_sees_every_block_of_both_once(rng: np.random.Generator) -> None:
    g = rng.standard_normal((3, BLOCK + 17)).astype(np.float32)
    seen: list[tuple[Array, Array]] = []
    sums = Sums()
    sums.add(g, -g, lambda first, second: seen.append((first, second)))
    for index, whole in enumerate((g, -g)):
        assert np.array_equal(np.concatenate([pair[index] for pair in seen]), whole.reshape(-1))
    assert all(len(first) <= BLOCK for first, _ in seen)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


NAN, INF = math.nan, math.inf
ODD = {
    "nan in candidate": ([1, 2], [1, NAN], "broken nan", 0),
    "nan in golden": ([1, NAN], [1, 2], "void", 0),
    "nan in both": ([1, NAN], [1, NAN], "", 1),
    "inf in candidate": ([1, 2], [1, INF], "broken", 0),
    "nan for inf": ([1, INF], [1, NAN], "broken nan", 0),
    "opposite infinities": ([1, INF], [1, -INF], "broken", 0),
    "the same infinity": ([1, -INF], [1, -INF], "", 1),
    "each its own": ([NAN, 1, INF], [1, NAN, INF], "broken nan void", 1),
    "nothing at all": ([0, 0], [0, 0], "", 0),
}


@pytest.mark.parametrize("case", ODD)
def test_values_that_are_not_finite(case: str) -> None:
    golden, candidate, states, same = ODD[case]
    g, c = np.array([golden], np.float32), np.array([candidate], np.float32)
    found, sums = drift(g, c), Sums()
    sums.add(g, c)
    assert " ".join(n for n in ("broken", "nan", "void") if getattr(found, n)[0]) == states
    assert (found.as_golden[0], found.compared[0]) == (same, g.size - same)
    figures = [found.max_abs[0], found.max_rel[0], found.cosine[0], found.psnr[0], found.snr[0]]
    if "broken" in states:
        lost = NAN if "nan" in states else INF
        assert np.array_equal(figures, [lost, lost, NAN, NAN, NAN], equal_nan=True)
    elif not states:
        assert figures == [0, 0, 1, INF, INF]
        assert (sums.max_abs, sums.cosine, sums.snr, sums.rms) == (0, 1, INF, 0)
    if states:
        assert math.isnan(sums.cosine)
        assert (sums.max_abs, sums.snr, sums.rms) == (INF, -INF, INF)


@pytest.mark.parametrize("power", [-900, -600, -350, 0, 350, 600, 900])
def test_figures_do_not_depend_on_how_large_numbers_are(power: int, rng: np.random.Generator) -> None:
    """Squares of 1e-170 are zero in float64, and those of 1e170 infinite: ratios are as they are of numbers near 1."""
    golden = rng.standard_normal((3, 40))
    other = golden + 1e-3 * rng.standard_normal((3, 40))
    other[2] = 0
    near, far = drift(golden, other), drift(np.ldexp(golden, power), np.ldexp(other, power))
    assert far.max_abs.tolist() == np.ldexp(near.max_abs, power).tolist()
    for name in ("snr", "psnr", "cosine", "max_rel"):
        assert getattr(far, name) == pytest.approx(getattr(near, name)), name
    assert far.snr[2] == 0
    sums, wanted = Sums(cross=0.0), Sums(cross=0.0)
    for one, two in zip(golden, other, strict=True):
        sums.add(np.ldexp(one, power), np.ldexp(two, power))
        wanted.add(one, two)
    assert (sums.snr, sums.cosine) == pytest.approx((wanted.snr, wanted.cosine))
    assert sums.rms == pytest.approx(math.ldexp(wanted.rms, power))


def test_numbers_of_any_size_add_up() -> None:
    """Whatever comes first, what is too small to be seen beside the rest adds nothing."""
    small, large = np.full(4, 1e-200), np.full(4, 1e3)
    for order in ([small, large], [large, small]):
        sums = Sums()
        for array in order:
            sums.add(array, array * 0.99)
        assert sums.snr == pytest.approx(40)
        assert sums.rms == pytest.approx(10 / math.sqrt(2))


@pytest.mark.parametrize("place", [0, 1, 2])
@pytest.mark.parametrize("size", [1e-200, 1e-170, 1.0, 1e200])
def test_zeros_add_nothing_to_numbers_of_any_size(size: float, place: int) -> None:
    """Nor take anything: in blocks of one tensor, and in tensors one after another."""
    numbers, nothing = np.full(4, size), np.zeros(4)
    sums = Sums()
    for number in range(3):
        golden = nothing if number == place else numbers
        sums.add(golden, 2 * golden)
    assert sums.snr == pytest.approx(0)
    assert sums.rms == pytest.approx(size * math.sqrt(2 / 3))
    golden = np.concatenate([np.zeros(BLOCK) if number == place else np.full(BLOCK, size) for number in range(3)])
    lost = sums_of(golden, np.zeros_like(golden))
    assert lost.snr == pytest.approx(0)
    assert lost.cosine == 0


@pytest.mark.parametrize("size", [1e-200, 1.0])
def test_golden_itself_counts_whatever_its_size(size: float) -> None:
    sums, golden = Sums(), np.full(8, size)
    add_together(golden, [(sums, golden)])
    sums.add(golden, golden * 1.5)
    assert sums.snr == pytest.approx(10 * math.log10(8))


def test_what_is_not_finite_beside_tiny_numbers_is_told_as_beside_others() -> None:
    for size in (1e-200, 1e-20):
        found = drift(np.array([[size, math.nan]]), np.array([[size, 1e300]]))
        assert found.snr.tolist() == drift(np.array([[1.0, math.nan]]), np.array([[1.0, 1e300]])).snr.tolist()
        golden, candidate = [np.array([[size, math.nan]])], [np.array([[size, 1e300]])]
        sums = within_reach(golden, candidate, row_sums(golden, candidate))
        assert (sums[0, 0, BROKEN], sums[0, 0, VOID]) == (0, 1)


def test_integers_are_compared_as_integers() -> None:
    big = 2**62
    golden, candidate = np.array([[big, 1], [big, 2]]), np.array([[big, 1], [big + 1, 2]])
    assert golden.astype(np.float64)[1, 0] == candidate.astype(np.float64)[1, 0]
    assert identical(golden, candidate).tolist() == [True, False]
    assert identical(golden, golden.astype(np.uint64)).tolist() == [True, True]


def test_golden_zero_against_something_is_worst_but_not_infinite() -> None:
    found = drift(np.zeros((1, 2), np.float32), np.array([[0, 3]], np.float32))
    assert (found.max_abs[0], found.max_rel[0], found.cosine[0]) == (3, INF, 0)
    assert (found.psnr[0], found.snr[0]) == (-INF, -INF)


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16, np.float64, np.int32, np.bool_])
def test_other_element_types(dtype: type) -> None:
    g = np.array([[1, 0, 1]], np.float32)
    c: Array = np.array([[1, 1, 1]], dtype)
    assert drift(g, c).max_abs.tolist() == [1]
    sums = Sums()
    sums.add(g, c)
    assert sums.noise == 1


TOP_K = {
    "same": ([3, 2, 1], [30, 20, 10], 1, True),
    "other winner": ([3, 2, 1], [2, 3, 1], 1, False),
    "same two in another order": ([3, 2, 1], [2, 3, 1], 2, True),
    "constant candidate": ([1, 2, 3], [0, 0, 0], 1, False),
    "nan": ([3, 2, 1], [NAN, 2, 1], 1, False),
    "nan in both": ([NAN, 2, 1], [NAN, 3, 1], 1, True),
    "nan for nan and another winner": ([NAN, 2, 1], [NAN, 1, 3], 1, False),
    "inf wins": ([INF, 2, 1], [INF, 2, 1], 1, True),
}


@pytest.mark.parametrize("case", TOP_K)
def test_top_k(case: str) -> None:
    golden, candidate, k, same = TOP_K[case]
    found = same_top_k(np.array([golden], np.float32), np.array([candidate], np.float32), k)
    assert found.tolist() == [same]


@given(hnp.arrays(np.float32, (4, 7), elements=st.integers(-3, 3).map(float)), st.integers(0, 6))
def test_a_label_ranks_below_k_where_it_is_among_the_top_k(scores: Array, label: int) -> None:
    found = ranks(scores, np.full(4, label))
    for k in range(1, 8):
        assert (found < k).tolist() == top(scores, k)[:, label].tolist()
        order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
        assert all(set(np.flatnonzero(row)) == set(best) for row, best in zip(top(scores, k), order, strict=True))


def test_nan_scores_hit_nothing() -> None:
    assert ranks(np.array([[NAN, 1.0], [0.0, 1.0]]), np.array([1, 1])).tolist() == [2, 0]


def test_what_is_not_finite_is_counted_of_its_own_sample_however_long_it_is() -> None:
    """A sample is looked at in several blocks, and one in which it is as golden takes nothing back."""
    golden = np.ones((4, 2 * BLOCK), np.float32)
    candidate = golden.copy()
    candidate[1, 0] = NAN
    golden[2, 1] = INF
    golden[3, [0, 2]] = candidate[3, [0, 2]] = -INF
    golden[1:, -1] = candidate[1:, -1] = INF
    found = drift(golden, candidate)
    assert found.broken.tolist() == [False, True, False, False]
    assert found.nan.tolist() == [False, True, False, False]
    assert found.void.tolist() == [False, False, True, False]
    assert found.as_golden.tolist() == [0, 1, 1, 3]
    assert (found.compared + found.as_golden).tolist() == [2 * BLOCK] * 4
    few = drift(golden[:, :3], candidate[:, :3])
    assert (few.broken.tolist(), few.void.tolist()) == (found.broken.tolist(), found.void.tolist())


@pytest.mark.parametrize(
    ("values", "more", "expected"),
    [
        ([1, 2, 3, 4], False, (2, 4, 4)),
        ([1, 2, 3, 4], True, (3, 1, 1)),
        ([INF, 1, 1, 1], False, (1, INF, INF)),
        ([-INF, 1, 1, 1], True, (1, -INF, -INF)),
    ],
)
def test_quantiles_occur(values: list[float], more: bool, expected: tuple[float, float, float]) -> None:
    array = np.array(values, np.float64)
    assert tuple(bad_end(array, share, more) for share in (0.5, 0.99, 1.0)) == expected
    assert array[worst_index(array, more)] == expected[2]


def test_quantile_of_nothing_is_no_number() -> None:
    assert math.isnan(bad_end(np.zeros(0), 1.0, False))


@pytest.mark.parametrize(
    ("values", "low", "high", "smallest", "overflows"),
    [
        ([0, 0.5, 3, -INF], 0, 3, 0.5, 0),
        ([INF, -1, -0.25], -1, -0.25, 0.25, 0),
        ([65_519.996, 1], 1, 65_519.996, 1, 0),
        ([-65_520, 0], -65_520, 0, 65_520, 1),
        ([0, 0], 0, 0, INF, 0),
    ],
)
def test_a_range_ends_at_what_is_finite(
    values: list[float], low: float, high: float, smallest: float, overflows: int
) -> None:
    """Infinities are another check's; zero is no magnitude; half a step above 65,504 FP16 rounds to infinity."""
    counts = RangeCounts()
    assert counts.add(np.array(values, np.float32)) is (overflows > 0)
    ends = (counts.low, counts.high, counts.smallest)
    assert ends == tuple(float(np.float32(end)) for end in (low, high, smallest))
    assert (counts.overflow, counts.elements) == (overflows, np.isfinite(values).sum())


@pytest.mark.parametrize("sign", [1, -1])
def test_a_cosine_is_within_its_bounds_whatever_is_rounded(sign: int) -> None:
    """The root of 3, squared, is less than 3."""
    assert 3 / (math.sqrt(3) * math.sqrt(3)) > 1
    three, sound = np.array([3.0]), np.array([False])
    assert cosine(three, three, sign * three, sound).tolist() == [sign]


@pytest.mark.filterwarnings("error")
def test_a_cosine_of_nothing_warns_of_nothing() -> None:
    none, one, sound = np.zeros(3), np.array([0.0, 2.0, 0.0]), np.array([False, False, True])
    assert cosine(none, one, none, sound).tolist()[:2] == [1, 0]
