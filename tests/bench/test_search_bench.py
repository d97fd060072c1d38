"""The searches that ours is counted against find what is needed, in as many trials as their papers say."""

from __future__ import annotations

import math

import pytest

from tests.bench.search import PUBLISHED, evaluations
from tests.bench.set_searches import bisect, halving, splitting
from tests.unit.search.oracles import Model


class Counted:
    """An oracle that keeps what it was asked."""

    def __init__(self, *needed: int) -> None:
        self.needed, self.asked = frozenset(needed), list[frozenset[int]]()

    def __call__(self, kept: frozenset[int]) -> bool:
        self.asked.append(kept)
        return self.needed <= kept


@pytest.mark.parametrize("name", PUBLISHED)
@pytest.mark.parametrize("size", [2, 7, 64, 200])
def test_each_finds_what_is_needed(name: str, size: int) -> None:
    for seed in range(20):
        for needed in (1, 2):
            asked, kept = evaluations(name, Model.of(size, needed, seed, useful=False))
            assert asked > 0 or size == 2
            assert kept >= needed


@pytest.mark.parametrize(("size", "builds"), [(100, 8), (200, 9), (1000, 11), (5000, 14)])
def test_bisecting_takes_one_build_more_than_the_logarithm(size: int, builds: int) -> None:
    counts = []
    for last in range(0, size - 1, max(1, size // 50)):
        oracle = Counted(last)
        assert bisect(size, oracle) == frozenset(range(last + 1))
        counts.append(len(oracle.asked))
    assert max(counts) == builds == 1 + math.ceil(math.log2(size))


def test_halving_goes_on_with_the_largest_undecided_segment() -> None:
    oracle = Counted(5)
    found = halving(8, oracle)
    assert found == frozenset({5})
    assert [sorted(kept) for kept in oracle.asked[:4]] == [[], [4, 5, 6, 7], [], [6, 7]]
    assert oracle.asked[-1] == found


def test_splitting_stays_below_the_bound_of_its_paper() -> None:
    # Hwang 1972: at most k - 1 trials more than the information bound, rounded up, where k are needed and k is known;
    # that no more are needed, which is not known here, takes groups of powers of two.
    for seed in range(50):
        oracle = Counted(*Model.of(200, 4, seed, useful=False).needed)
        assert splitting(range(200), oracle, 4) == oracle.needed
        assert len(oracle.asked) <= math.ceil(math.log2(math.comb(200, 4))) + 3 + math.ceil(math.log2(200))
