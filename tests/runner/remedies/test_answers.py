"""What a search is told of a trial: what is sure, what may come out otherwise, and what cannot be told."""

from __future__ import annotations

import math
from typing import Any, Literal

import pytest

from assay_api.report import Verdict
from assay_runner.remedies.judged import BUILD, Judged, Said, clear, margin
from assay_runner.remedies.precision.oracle import Repeats, answer_of
from assay_runner.search import FAILED, PASSED, UNCLEAR, Answer, Purpose, Stage, Trial
from assay_runner.search import Verdict as Told

SURELY = {True: Answer(Told.PASSED, math.inf), False: Answer(Told.FAILED, -math.inf)}
CLEAN = Said(check="finite", verdict=Verdict.PASSED, message="", metric="nonFinite", value=0, limit=0)


def said(metric: str, value: float, limit: float, passed: bool, check: str = "outputDrift") -> Said:
    verdict = Verdict.PASSED if passed else Verdict.FAILED
    return Said(check=check, verdict=verdict, message="", metric=metric, value=value, limit=limit)


def judged(*found: Said, noise: Literal["none", "some"] = "some", **more: Any) -> Judged:
    return Judged(said=found, noise=noise, **more)


@pytest.mark.parametrize(
    ("metric", "value", "limit", "wanted"),
    [
        ("snr", 33, 30, 0.1),
        ("snr", 27, 30, -0.1),
        ("maxAbs", 0.05, 0.1, 0.5),
        ("maxAbs", 0.2, 0.1, -1),
        ("cosine", 0.999, 0.99, 0.9),
        ("cosine", 0.98, 0.99, -1),
        ("nonFinite", 3, 0, -3),
        ("nonFinite", 0, 0, math.inf),
    ],
)
def test_a_margin_is_a_share_of_what_is_allowed(metric: str, value: float, limit: float, wanted: float) -> None:
    assert margin(said(metric, value, limit, wanted > 0)) == pytest.approx(wanted)


@pytest.mark.parametrize(
    ("metric", "value", "limit", "passed", "wanted"),
    [
        ("snr", 40, 30, True, SURELY[True]),
        ("snr", math.inf, 30, True, SURELY[True]),
        ("snr", 32, 30, True, PASSED),
        ("snr", 30.5, 30, True, FAILED),
        ("snr", 29, 30, False, FAILED),
        ("snr", 20, 30, False, SURELY[False]),
        ("snr", -math.inf, 30, False, SURELY[False]),
        ("cosine", 0.9999, 0.999, True, SURELY[True]),
        ("cosine", 0.99905, 0.999, True, PASSED),
        ("maxAbs", 0.099, 0.1, True, FAILED),
    ],
)
def test_far_from_a_limit_an_engine_is_sure(
    metric: str, value: float, limit: float, passed: bool, wanted: Answer
) -> None:
    assert answer_of(judged(said(metric, value, limit, passed), CLEAN)) == wanted


@pytest.mark.parametrize(("value", "passed"), [(32, True), (30.5, False), (29, False)])
def test_without_noise_everything_is_sure(value: float, passed: bool) -> None:
    assert answer_of(judged(said("snr", value, 30, value > 30), CLEAN, noise="none")) == SURELY[passed]


def test_of_findings_that_failed_the_clearest_decides() -> None:
    near, far = said("snr", 29.9, 30, False), said("nonFinite", 7, 0, False, "finite")
    assert answer_of(judged(near, far)) == SURELY[False]
    assert clear(judged(near, far))
    assert not clear(judged(near, CLEAN))


def test_what_did_not_stay_wide_fails_for_sure() -> None:
    assert answer_of(judged(said("snr", 80, 30, True), slips=("node 'a' is held to FP32",))) == SURELY[False]


def test_what_cannot_be_told_is_asked_again_where_that_may_help() -> None:
    few = Said(check="labelAccuracy", verdict=Verdict.INCONCLUSIVE, message="too few samples")
    refused = Said(check=BUILD, verdict=Verdict.INCONCLUSIVE, message="no such kernel")
    assert answer_of(judged(few)) == UNCLEAR
    assert answer_of(judged(few, noise="none")) == SURELY[False]
    assert answer_of(judged(refused)) == SURELY[False]


def built(passed: bool, value: float, purpose: Purpose = Purpose.CONFIRM) -> tuple[Trial[str], Judged]:
    """A build of one set that comes out so near its limit that the next may not."""
    return Trial(frozenset("a"), Stage.DECIDE, purpose), judged(said("snr", value, 30, passed))


def test_builds_that_confirm_a_set_with_the_same_bits_are_sure_after_the_third() -> None:
    repeats = Repeats()
    assert [repeats.answer(*built(True, 32.125)) for _ in range(3)] == [PASSED, PASSED, SURELY[True]]
    repeats = Repeats()
    assert [repeats.answer(*built(False, 29.5)) for _ in range(3)] == [FAILED, FAILED, SURELY[False]]


def test_what_made_a_set_interesting_does_not_count_among_them() -> None:
    """Of many sets that fail, one that passes by luck is the one that is looked at."""
    repeats = Repeats()
    assert repeats.answer(*built(True, 32.125, Purpose.NARROW)) == PASSED
    assert [repeats.answer(*built(True, 32.125)) for _ in range(3)] == [PASSED, PASSED, SURELY[True]]


def test_builds_that_differ_once_have_noise_for_good() -> None:
    repeats = Repeats()
    values = [32.125, 32.25, 32.125, 32.125, 32.125, 32.125]
    assert [repeats.answer(*built(True, value)) for value in values] == [PASSED] * 6


@pytest.mark.parametrize(
    ("metric", "value", "check"),
    [("top1Kept", 0.992, "labelAccuracy"), ("equal", 0.9905, "outputDrift"), ("topKAgreement", 0.9905, "outputDrift")],
)
def test_shares_that_are_counted_may_be_equal_by_chance(metric: str, value: float, check: str) -> None:
    repeats = Repeats()
    trial, _ = built(True, 0)
    counted = judged(said(metric, value, 0.99, True, check))
    assert [repeats.answer(trial, counted) for _ in range(5)] == [PASSED] * 5
