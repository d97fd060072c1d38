"""Whatever the oracle: what is returned passed, what is called minimal is, and what cannot be told is said."""

from __future__ import annotations

import random
from collections.abc import Callable
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay_runner.search import FAILED, PASSED, UNCLEAR, Answer, Item, Limits, Minimal, Settings, Why, search
from assay_runner.search.items import leaves_of
from tests.unit.search.oracles import needs, needs_any, ranked

Oracle = Callable[[frozenset[int]], Answer]


@st.composite
def trees(draw: st.DrawFn) -> list[Item[int]]:
    """Blocks, nodes beside them, and blocks in blocks; some equally suspicious."""
    names = iter(range(10_000))

    def item(depth: int) -> Item[int]:
        name, prior = next(names), float(draw(st.integers(0, 5)))
        parts = draw(st.integers(0, 5)) if depth else 0
        return Item(name, prior, float(draw(st.integers(0, 3))), tuple(item(depth - 1) for _ in range(parts)))

    return [item(2) for _ in range(draw(st.integers(1, 6)))]


@given(trees(), st.data())
def test_of_items_that_must_all_be_wide_exactly_those_are_found(items: list[Item[int]], data: st.DataObject) -> None:
    needed = data.draw(st.sets(st.sampled_from(leaves_of(items)), min_size=1))
    outcome = search(items, needs(*needed))
    assert outcome.why is Why.FOUND
    assert outcome.confirmed
    assert outcome.best == outcome.core == frozenset(needed)
    assert outcome.minimal in (Minimal.PROVED, Minimal.IMPLIED)
    assert len(outcome.proof) == len(needed)
    assert outcome.violation is None


@given(trees(), st.data())
def test_where_more_wide_does_no_harm_nothing_can_be_left_out(items: list[Item[int]], data: st.DataObject) -> None:
    leaves = st.sampled_from(leaves_of(items))
    cures = data.draw(st.lists(st.sets(leaves, min_size=1, max_size=4), min_size=1, max_size=4))
    oracle = needs_any(*cures)
    outcome = search(items, oracle)
    assert outcome.best in [frozenset(cure) for cure in cures]
    assert all(oracle(outcome.best - {leaf}) is FAILED for leaf in outcome.best)


@given(trees(), st.integers(0, 2**32), st.booleans(), st.floats(0.1, 0.9))
def test_of_any_oracle_what_is_said_is_true(items: list[Item[int]], seed: int, direct: bool, share: float) -> None:
    leaves = leaves_of(items)

    def oracle(kept: frozenset[int]) -> Answer:
        if not kept or len(kept) == len(leaves):
            return PASSED if kept else FAILED
        return PASSED if random.Random(f"{seed} {sorted(kept)}").random() < share else FAILED

    outcome = search(items, oracle, settings=Settings(direct=direct))
    assert outcome.why is Why.FOUND
    assert outcome.best is not None
    assert outcome.core is not None
    assert all(oracle(kept) is PASSED for kept in outcome.passing)
    assert oracle(outcome.best) is oracle(outcome.core) is PASSED
    assert outcome.best in outcome.passing
    assert all(oracle(kept) is FAILED for kept in outcome.proof)
    if outcome.minimal is Minimal.PROVED:
        assert all(oracle(outcome.core - {leaf}) is FAILED for leaf in outcome.core)
    if outcome.violation:
        smaller, larger = outcome.violation
        assert smaller < larger
        assert (oracle(smaller), oracle(larger)) == (PASSED, FAILED)
    if direct or outcome.violation:
        assert outcome.minimal is Minimal.PROVED or len(outcome.core) > 20


@given(trees(), st.data(), st.integers(0, 12))
def test_a_budget_ends_with_the_best_so_far(items: list[Item[int]], data: st.DataObject, trials: int) -> None:
    oracle = needs(*data.draw(st.sets(st.sampled_from(leaves_of(items)), min_size=1)))
    outcome = search(items, oracle, limits=Limits(decisions=trials))
    assert sum(outcome.evaluations.values()) <= trials
    assert outcome.why in (Why.FOUND, Why.BUDGET)
    if trials:
        assert outcome.best is not None
        assert oracle(outcome.best) is PASSED
        assert outcome.cost == min(
            sum(leaf.cost for i in items for leaf in i.leaves if leaf.name in kept) for kept in outcome.passing
        )
    else:
        assert outcome.best is None


def test_a_check_that_fails_with_all_wide_takes_one_evaluation() -> None:
    outcome = search(ranked(range(200)), lambda kept: FAILED)
    assert outcome.why is Why.WIDE_FAILS
    assert outcome.best is None
    assert sum(outcome.evaluations.values()) == 1


def test_a_check_that_passes_with_nothing_wide_needs_nothing() -> None:
    outcome = search(ranked(range(200)), lambda kept: PASSED)
    assert outcome.best == frozenset()
    assert sum(outcome.evaluations.values()) == 2


def test_answers_that_are_never_clear_are_inconclusive_soon() -> None:
    outcome = search(ranked(range(200)), lambda kept: UNCLEAR)
    assert outcome.why is Why.INCONCLUSIVE
    assert outcome.best is None
    assert sum(outcome.evaluations.values()) <= 5


def test_an_item_without_which_it_is_never_clear_stays_wide() -> None:
    culprits = needs(3, 40)
    oracle: Oracle = lambda kept: culprits(kept) if 5 in kept or culprits(kept) is FAILED else UNCLEAR  # noqa: E731
    outcome = search(ranked(range(50)), oracle)
    assert outcome.best == frozenset({3, 5, 40})
    assert outcome.minimal is Minimal.NOT_PROVED


PAIRS = [(0, 1), (2, 3), (0, 49), (31, 32), (7, 39), (16, 17), (48, 49)]


@pytest.mark.parametrize("pair", PAIRS)
def test_either_alone_fails_and_both_together_pass(pair: tuple[int, int]) -> None:
    assert search(ranked(range(50)), needs(*pair)).best == frozenset(pair)


@pytest.mark.parametrize("pair", PAIRS)
def test_either_alone_passes_and_both_together_fail(pair: tuple[int, int]) -> None:
    oracle: Oracle = lambda kept: PASSED if len(kept & set(pair)) == 1 else FAILED  # noqa: E731
    ended = search(ranked(range(50)), oracle)
    assert ended.why is Why.WIDE_FAILS
    assert ended.best is None
    outcome = search(ranked(range(50)), oracle, settings=Settings(beyond=8))
    assert outcome.best is not None
    assert len(outcome.best) == 1
    assert outcome.best <= set(pair)
    assert outcome.minimal is Minimal.PROVED
    assert outcome.violation is not None


def test_any_pair_that_breaks_is_told_apart_within_two_trials_more_than_the_digits_of_its_rank() -> None:
    for pair in combinations(range(19), 2):
        oracle: Oracle = lambda kept, pair=pair: PASSED if len(kept & set(pair)) == 1 else FAILED  # type: ignore[misc]  # noqa: E731
        outcome = search(ranked(range(19)), oracle, settings=Settings(beyond=7))
        assert outcome.best is not None
        assert oracle(outcome.best) is PASSED


def test_two_that_break_each_other_unless_a_third_is_wide() -> None:
    oracle: Oracle = lambda kept: PASSED if len(kept & {3, 40}) == 1 or 7 in kept else FAILED  # noqa: E731
    outcome = search(ranked(range(50)), oracle)
    assert outcome.best is not None
    assert len(outcome.best) == 1
    assert oracle(outcome.best) is PASSED


@pytest.mark.parametrize(
    ("items", "said"),
    [
        ([], "no items"),
        ([Item(1), Item(2, parts=(Item(1),))], "1 names more than one"),
        ([Item(1, prior=float("nan"))], "prior"),
        ([Item(1, cost=-1)], "cost"),
    ],
)
def test_items_that_make_no_sense_are_refused(items: list[Item[int]], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        search(items, needs(1))
