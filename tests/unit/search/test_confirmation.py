"""A cheap oracle proposes, a dear one decides: rarely asked where they agree, right where they do not."""

from __future__ import annotations

import random

import pytest

from assay_runner.search import (
    FAILED,
    PASSED,
    Answer,
    Item,
    Limits,
    Minimal,
    Settings,
    Stage,
    Why,
    search_with_confirmation,
)
from tests.unit.search.oracles import Model, needs, needs_any, ranked

DEVICE = frozenset({1, 20, 33})
DRIFTS = {
    "the same": DEVICE,
    "superset": DEVICE | {10, 11},
    "subset": DEVICE - {33},
    "overlap": (DEVICE - {1}) | {2},
    "disjoint": frozenset({5, 6}),
    "sees nothing": frozenset[int](),
}


@pytest.mark.parametrize("useful", [True, False])
@pytest.mark.parametrize(("size", "most"), [(100, 4), (200, 4), (1000, 4), (5000, 6)])
def test_where_emulation_is_right_few_builds_lead_to_the_final_answer(size: int, most: int, useful: bool) -> None:
    for seed in range(10):
        for needed in (1, 2, 4):
            model = Model.of(size, needed, seed, useful)
            outcome = search_with_confirmation(model.items, needs(*model.needed), needs(*model.needed))
            assert outcome.best == outcome.proposed == model.needed
            assert outcome.confirmed
            assert outcome.minimal is Minimal.PROPOSED
            assert outcome.evaluations[Stage.DECIDE] <= most


@pytest.mark.parametrize("drift", DRIFTS)
@pytest.mark.parametrize("direct", [False, True])
def test_where_emulation_drifts_the_device_is_believed(drift: str, direct: bool) -> None:
    outcome = search_with_confirmation(
        ranked(range(50)), needs(*DRIFTS[drift]), needs(*DEVICE), settings=Settings(direct=direct)
    )
    assert outcome.why is Why.FOUND
    assert outcome.confirmed
    assert outcome.best is not None
    if drift == "superset" and not direct:
        assert outcome.best == DRIFTS[drift]
        assert outcome.minimal is Minimal.PROPOSED
        assert outcome.evaluations[Stage.DECIDE] == 2
    else:
        assert outcome.best == DEVICE
        assert outcome.minimal is not Minimal.NOT_PROVED
        assert (outcome.minimal is Minimal.PROVED) >= direct


def test_what_was_proposed_is_kept_while_the_rest_is_looked_for() -> None:
    asked = []
    device = needs(*DEVICE)

    def decide(kept: frozenset[int]) -> Answer:
        asked.append(kept)
        return device(kept)

    alone = search_with_confirmation(ranked(range(50)), needs(), device).evaluations[Stage.DECIDE]
    outcome = search_with_confirmation(ranked(range(50)), needs(1, 20), decide)
    assert outcome.best == DEVICE
    assert outcome.evaluations[Stage.DECIDE] < alone
    assert asked[0] == frozenset({1, 20})


def test_another_cure_that_was_proposed_is_tried_before_the_device_is_searched() -> None:
    emulation = needs_any({3}, {40, 41})
    outcome = search_with_confirmation(ranked(range(50)), emulation, needs(40, 41))
    assert outcome.best == frozenset({40, 41})
    assert outcome.evaluations[Stage.DECIDE] == 3


def test_an_emulation_that_fails_with_all_wide_is_left_aside() -> None:
    outcome = search_with_confirmation(ranked(range(50)), lambda kept: FAILED, needs(*DEVICE))
    assert outcome.best == DEVICE
    assert outcome.evaluations[Stage.PROPOSE] == 1
    assert outcome.proposed is None


def test_a_device_that_fails_with_all_wide_is_asked_twice() -> None:
    outcome = search_with_confirmation(ranked(range(50)), needs(*DEVICE), lambda kept: FAILED)
    assert outcome.why is Why.WIDE_FAILS
    assert outcome.best is None
    assert outcome.proposed == DEVICE
    assert outcome.evaluations[Stage.DECIDE] == 2


def test_limits_hold_for_each_oracle() -> None:
    items = ranked(range(50))
    cut = search_with_confirmation(items, needs(*DEVICE), needs(*DEVICE), limits=Limits(proposals=5))
    assert cut.evaluations == {Stage.PROPOSE: 5, Stage.DECIDE: 2}
    assert cut.best is not None
    assert cut.best >= DEVICE
    none = search_with_confirmation(items, needs(*DEVICE), needs(*DEVICE), limits=Limits(decisions=0))
    assert none.why is Why.BUDGET
    assert none.best is None
    assert none.proposed == DEVICE


def test_a_device_that_is_sometimes_wrong() -> None:
    for seed in range(100):
        model, chance = Model.of(200, 4, seed, useful=True), random.Random(seed)
        drifted = needs(*sorted(model.needed)[seed % 3 :])
        device = needs(*model.needed)
        outcome = search_with_confirmation(
            model.items,
            drifted,
            lambda kept, device=device, chance=chance: Answer.of(  # type: ignore[misc]
                (device(kept) is PASSED) ^ (chance.random() < 0.03)
            ),
            settings=Settings(wrong=0.03),
        )
        assert outcome.best == model.needed, seed


def test_blocks_are_confirmed_whole_where_that_is_cheaper() -> None:
    blocks = [Item(100 + b, parts=tuple(Item(10 * b + i) for i in range(10))) for b in range(10)]

    def cost(kept: frozenset[int]) -> float:
        return len(kept) + 4 * sum(name - 1 not in kept for name in kept)

    outcome = search_with_confirmation(blocks, needs(31, 34, 37), needs(31, 34, 37), cost=cost)
    assert outcome.best == frozenset(range(31, 38))
    assert outcome.core == frozenset({31, 34, 37})
    assert outcome.evaluations[Stage.DECIDE] == 2
