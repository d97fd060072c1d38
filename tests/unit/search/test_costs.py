"""Milliseconds and casts decide, not numbers of nodes."""

from __future__ import annotations

from assay_runner.search import FAILED, PASSED, Item, Minimal, search
from assay_runner.search.cheaper import cheaper
from tests.unit.search.oracles import needs, needs_any, ranked


def islands(kept: frozenset[int]) -> float:
    """One per node, and three where an island begins."""
    return len(kept) + 3 * sum(name - 1 not in kept for name in kept)


def test_a_gap_is_filled_where_that_costs_less_than_casts() -> None:
    outcome = search(ranked(range(50)), needs(3, 5, 7), cost=islands)
    assert outcome.best == frozenset({3, 4, 5, 6, 7})
    assert outcome.core == frozenset({3, 5, 7})
    assert outcome.cost == 8
    assert outcome.minimal is Minimal.IMPLIED


def test_a_wide_gap_is_left_as_it_is() -> None:
    assert search(ranked(range(50)), needs(3, 20), cost=islands).best == frozenset({3, 20})


def test_a_whole_block_is_taken_where_its_parts_cost_more_than_it() -> None:
    blocks = [Item(100 + b, parts=tuple(Item(10 * b + i) for i in range(10))) for b in range(4)]
    whole = frozenset(range(20, 30))

    def fused(kept: frozenset[int]) -> float:
        """A block runs as one kernel where it is wide as a whole."""
        return sum(2.0 if frozenset(b.names) <= kept else 3.0 * len(kept & set(b.names)) for b in blocks)

    assert search(blocks, needs(21, 28), cost=fused).best == whole


def test_a_cheaper_set_that_fails_is_not_taken() -> None:
    def oracle(kept: frozenset[int]) -> object:
        return PASSED if {3, 5} <= kept and (4 not in kept or len(kept) > 9) else FAILED

    outcome = search(ranked(range(50)), oracle, cost=islands)  # type: ignore[arg-type]
    assert outcome.best == frozenset({3, 5})
    assert outcome.violation == (frozenset({3, 5}), frozenset({3, 4, 5}))


def test_of_two_cures_the_cheaper_one_is_taken() -> None:
    for dear, cheap in ((3, 40), (40, 3)):
        items = [Item(i, prior=-i, cost=9 if i == dear else 1) for i in range(50)]
        outcome = search(items, needs_any({dear}, {cheap}))
        assert outcome.best == frozenset({cheap})
        assert {frozenset({dear}), frozenset({cheap})} <= set(outcome.passing)


def test_larger_sets_are_given_the_cheapest_first_and_never_the_set_itself() -> None:
    items = ranked(range(20))
    kept = frozenset({1, 3, 10, 12})
    found = cheaper(items, kept, islands)
    assert found == [frozenset({1, 2, 3, 10, 11, 12}), found[-1]]
    assert islands(found[0]) < islands(found[1]) < islands(kept)
    assert cheaper(items, kept, len) == []
