"""Answers that are wrong by chance: the right set all the same, in every run."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from assay_runner.search import Answer, Minimal, Settings, Verdict, Why
from tests.unit.search.oracles import Model, answered, flipped


def measured(chance: random.Random, distance: float) -> Callable[[bool], Answer]:
    """A figure so many standard deviations from the limit, with its noise; unclear where the limit lies inside it."""

    def answer(passes: bool) -> Answer:
        margin = chance.gauss(distance if passes else -distance, 1)
        clear = Verdict.PASSED if margin > 0 else Verdict.FAILED
        return Answer(clear if abs(margin) > 1.64 else Verdict.UNCLEAR, margin)

    return answer


@pytest.mark.parametrize("useful", [True, False])
@pytest.mark.parametrize("needed", [1, 4])
def test_right_in_every_run_with_three_wrong_answers_in_a_hundred(needed: int, useful: bool) -> None:
    trials = []
    for seed in range(100):
        model = Model.of(200, needed, seed, useful)
        search, took = answered(model, flipped(random.Random(-seed), 0.03), Settings(wrong=0.03))
        outcome = search.outcome()
        assert outcome.best == model.needed, seed
        assert outcome.why is Why.FOUND
        assert outcome.confirmed
        assert outcome.minimal in (Minimal.PROVED, Minimal.IMPLIED)
        assert outcome.violation is None
        trials.append(took)
    assert sum(trials) / 100 < 75


def test_right_in_every_run_with_figures_two_deviations_from_the_limit() -> None:
    for seed in range(100):
        model = Model.of(200, 4, seed, useful=True)
        search, _ = answered(model, measured(random.Random(-seed), 2.0), Settings(repeats=40))
        assert search.outcome().best == model.needed, seed


def test_right_or_nothing_where_one_answer_in_five_is_wrong() -> None:
    right = 0
    for seed in range(50):
        model = Model.of(100, 2, seed, useful=True)
        search, _ = answered(model, flipped(random.Random(-seed), 0.2), Settings(wrong=0.2, repeats=60))
        outcome = search.outcome()
        assert outcome.best is None or outcome.best >= model.needed
        right += outcome.best == model.needed
    assert right >= 48


def test_where_too_few_repeats_are_allowed_to_tell_nothing_is_claimed() -> None:
    for seed in range(20):
        model = Model.of(100, 4, seed, useful=False)
        search, _ = answered(model, flipped(random.Random(-seed), 0.3), Settings(wrong=0.3, repeats=16), most=500)
        outcome = search.outcome()
        assert outcome.best is not None
        assert outcome.confirmed is (outcome.why is Why.INCONCLUSIVE)
        assert outcome.best >= model.needed or not outcome.confirmed


def test_one_wrong_pass_of_answers_thought_certain_is_noticed() -> None:
    # The final set passes by mistake: confirming it shows that answers are not certain, and all is weighed again.
    for lie in range(3, 20):
        model, asked = Model.of(100, 3, 1, useful=True), 0

        def answer(passes: bool, lie: int = lie) -> Answer:
            nonlocal asked
            asked += 1
            return Answer.of(passes or asked == lie)

        search, trials = answered(model, answer)
        outcome = search.outcome()
        assert outcome.best is not None
        assert outcome.best >= model.needed
        assert trials < 120
