"""How much an answer weighs, and what several come to."""

from __future__ import annotations

import math

import pytest

from assay_runner.search import FAILED, PASSED, UNCLEAR, Answer, Settings, Verdict
from assay_runner.search.answers import belief


def chance(*answers: Answer, wrong: float = 0.0, floor: float = 0.0) -> float:
    """That the set passes."""
    return 1 / (1 + math.exp(-belief(answers, wrong, floor)))


def test_an_answer_is_believed_as_it_is_wrong() -> None:
    assert chance(PASSED, wrong=0.03) == pytest.approx(0.97)
    assert chance(FAILED, wrong=0.03) == pytest.approx(0.03)
    assert chance(UNCLEAR, wrong=0.03) == 0.5
    assert belief([PASSED], 0) == -belief([FAILED], 0) == math.inf


def test_answers_without_a_margin_multiply_their_odds() -> None:
    assert chance(PASSED, PASSED, wrong=0.03) == pytest.approx(0.97**2 / (0.97**2 + 0.03**2))
    assert chance(PASSED, FAILED, wrong=0.03) == 0.5
    assert chance(PASSED, UNCLEAR, wrong=0.1) == pytest.approx(0.9)


def test_margins_are_of_one_distance_and_their_mean_counts() -> None:
    # 1.6449 is the 95th percentile of the normal distribution; four such have a mean that is half as noisy.
    assert chance(Answer(Verdict.UNCLEAR, 1.6449)) == pytest.approx(0.95, abs=1e-4)
    assert chance(*[Answer(Verdict.UNCLEAR, 1.6449 / 2)] * 4) == pytest.approx(0.95, abs=1e-4)
    assert chance(Answer(Verdict.UNCLEAR, 2.0), Answer(Verdict.UNCLEAR, -2.0)) == 0.5
    assert belief([Answer(Verdict.PASSED, math.inf)], 0.03) == math.inf


def test_certain_answers_that_differ_say_nothing_until_a_floor_is_put_under_them() -> None:
    assert math.isnan(belief([PASSED, FAILED], 0))
    assert math.isnan(belief([Answer.of(True, math.inf), Answer.of(False, -math.inf)], 0))
    assert chance(PASSED, FAILED, PASSED, floor=0.05) == pytest.approx(0.95)
    assert chance(Answer.of(True, math.inf), Answer.of(False, -math.inf), floor=0.05) == 0.5


@pytest.mark.parametrize(("verdict", "margin"), [("passed", -1), ("failed", 1), ("passed", math.nan)])
def test_a_margin_on_the_other_side_is_refused(verdict: str, margin: float) -> None:
    with pytest.raises(ValueError, match="margin"):
        Answer(Verdict(verdict), margin)


@pytest.mark.parametrize("wrong", [{"wrong": 0.5}, {"wrong": -0.1}, {"risk": 0}, {"confirmations": 0}, {"repeats": 1}])
def test_settings_that_decide_nothing_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="must be"):
        Settings(**wrong)  # type: ignore[arg-type]
