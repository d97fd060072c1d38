"""Which tactic goes with builds that fail: statistics of builds that are made up."""

from __future__ import annotations

import random
from collections.abc import Sequence
from math import comb

import pytest

from assay_runner.remedies.tactics.blame import DECIDED, Seen, Suspect, explained, likeliest, suspected

Culprit = dict[str, str]


def builds(count: int, layers: int, bad: Sequence[Culprit], seed: int, kinds: int = 2) -> list[Seen]:
    """Builds in which every layer runs a tactic at random, and which fail where they have all of a culprit."""
    chosen = random.Random(seed)
    made = [{f"l{n}": str(chosen.randrange(kinds)) for n in range(layers)} for _ in range(count)]
    return [Seen(each, any(culprit.items() <= each.items() for culprit in bad)) for each in made]


def sequence(layers: int, bad: Sequence[Culprit], seed: int, most: int = 16) -> tuple[Suspect, ...]:
    """What is suspected where builds go on until it is decided."""
    for count in range(4, most):
        seen = builds(count, layers, bad, seed)
        if (found := suspected(seen)) and explained(seen, found):
            return found
    return suspected(builds(most, layers, bad, seed))


@pytest.mark.parametrize("bad", [0, 8])
def test_builds_of_one_kind_blame_nothing(bad: int) -> None:
    seen = [Seen({"a": str(n % 2)}, n < bad) for n in range(8)]
    assert suspected(seen) == ()


def test_the_chance_is_fishers_times_the_questions() -> None:
    seen = [Seen({"a": "1" if n < 4 else "0", "b": str(n % 2)}, n < 4) for n in range(8)]
    found = likeliest(seen)
    assert found
    assert found.tactics == (("a", "1"),)
    assert (found.bad_with, found.bad, found.good) == (4, 4, 4)
    # Four sets of builds (a or b, 0 or 1), as many ways to take four of eight builds as there are, twice for pairs.
    assert found.tried == 4
    assert found.chance == pytest.approx(2 * 4 / comb(8, 4))
    assert not found.decided


def test_fishers_test_is_scipys() -> None:
    stats = pytest.importorskip("scipy.stats")
    seen = builds(12, 5, [{"l1": "1"}], seed=3)
    found = likeliest(seen)
    assert found
    assert found.tactics == (("l1", "1"),)
    table = [[found.bad_with, 0], [found.bad - found.bad_with, found.good]]
    assert found.chance == pytest.approx(min(1, 2 * found.tried * stats.fisher_exact(table, "greater").pvalue))


def test_tactics_of_the_same_builds_are_told_together() -> None:
    seen = [Seen({"a": str(n % 2), "b": str(n % 2), "c": "0"}, n % 2 == 1) for n in range(16)]
    (found,) = suspected(seen)
    assert found.decided
    assert {found.tactics, *found.alike} == {(("a", "1"),), (("b", "1"),)}


def test_a_pair_is_blamed_where_neither_alone_fails() -> None:
    every = [{"a": a, "b": b} for a in "01" for b in "01"] * 8
    (found,) = suspected([Seen(each, each == {"a": "1", "b": "1"}) for each in every])
    assert found.decided
    assert found.tactics == (("a", "1"), ("b", "1"))


def test_two_culprits_are_both_blamed() -> None:
    found = suspected(builds(64, 6, [{"l1": "1"}, {"l4": "0"}], seed=1))
    assert [each.tactics for each in found if each.decided] in (
        [(("l1", "1"),), (("l4", "0"),)],
        [(("l4", "0"),), (("l1", "1"),)],
    )


def test_what_a_passing_build_was_made_to_have_is_cleared() -> None:
    seen = [Seen({"a": str(n % 2), "b": str(n % 2)}, n % 2 == 1) for n in range(8)]
    found = likeliest(seen, harmless=[{"a": "1", "b": "0"}])
    assert found
    assert found.tactics == (("b", "1"),)
    assert found.alike == ()


def test_a_single_culprit_is_found_and_nothing_else() -> None:
    right = 0
    for seed in range(100):
        decided = [each for each in sequence(8, [{"l3": "1"}], seed) if each.decided]
        assert all((("l3", "1"),) in (each.tactics, *each.alike) for each in decided)
        right += bool(decided)
    assert right >= 95


@pytest.mark.parametrize("share", [0.2, 0.5])
def test_builds_that_fail_for_no_tactic_are_seldom_blamed_on_one(share: float) -> None:
    """Though it is looked at after every build."""
    wrong = 0
    for seed in range(200):
        chance = random.Random(-seed - 1)
        fails = [chance.random() < share for _ in range(16)]
        tactics = [each.tactics for each in builds(16, 12, [], seed)]
        looks = ([Seen(t, f) for t, f in zip(tactics[:n], fails[:n], strict=True)] for n in range(4, 17))
        wrong += any(each.decided for seen in looks for each in suspected(seen))
    assert wrong <= DECIDED * 200


def test_hundreds_of_layers_take_no_time() -> None:
    seen = builds(16, 480, [{"l7": "1"}], seed=5)
    found = likeliest(seen)
    assert found
    assert (("l7", "1"),) in (found.tactics, *found.alike)
