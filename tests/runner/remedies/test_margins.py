"""How far within its limit a finding is, whatever it measures: what search and sweep weigh trials by."""

from __future__ import annotations

import math

import pytest

from assay_api.report import Verdict
from assay_runner.remedies.figures import figure
from assay_runner.remedies.judged import Judged, Said, margin
from assay_runner.remedies.precision.oracle import answer_of
from assay_runner.search import Verdict as Told


def said(metric: str | None, value: float | None, limit: float | None, check: str = "outputDrift") -> Said:
    return Said(check=check, verdict=Verdict.PASSED, message="", metric=metric, value=value, limit=limit)


@pytest.mark.parametrize(
    ("metric", "value", "limit", "wanted"),
    [
        ("snr", 23.0, 20.0, 0.1),
        ("snr", 17.0, 20.0, -0.1),
        ("maxAbs", 0.5, 1.0, 0.5),
        ("maxAbs", 2.0, 1.0, -1.0),
        # Best at 1: the share of what may be lost that is not.
        ("cosine", 1.0, 0.985, 1.0),
        ("cosine", 0.985, 0.985, 0.0),
        ("cosine", 0.97, 0.985, -1.0),
        ("equal", 0.995, 0.99, 0.5),
        ("equal", 1.0, 1.0, math.inf),
        ("topKAgreement", 1.0, 0.9, 1.0),
        ("topKAgreement", 0.8, 0.9, -1.0),
        ("top1Kept", 0.99, 0.98, 0.2),
        # More than golden's is luck of the draw, and no better than all of it.
        ("top1Kept", 1.01, 0.98, 0.4),
        # Of a metric of the user's own more is better, too.
        ("kept", 0.99, 0.98, 0.2),
        ("kept", 0.97, 0.98, -0.2),
        ("mean", 0.9, 0.8, 0.125),
        ("score", 0.6, 0.8, -0.25),
        # None allowed: none found is near no limit, and one is beyond it.
        ("nonFinite", 0.0, 0.0, math.inf),
        ("nonFinite", 3.0, 0.0, -3.0),
        (None, None, None, math.inf),
    ],
)
def test_margins(metric: str | None, value: float | None, limit: float | None, wanted: float) -> None:
    assert margin(said(metric, value, limit)) == pytest.approx(wanted)


@pytest.mark.parametrize(
    ("metric", "value", "text"),
    [("kept", 0.98, "98.00 %"), ("top1Kept", 0.98, "98.00 %"), ("score", 0.5, "0.5"), ("localSnr", 17.04, "17.0 dB")],
)
def test_a_figure_has_its_own_unit(metric: str, value: float, text: str) -> None:
    assert figure(metric, value) == text


def test_a_perfect_cosine_passes_however_near_1_its_limit_is() -> None:
    """The search asks for 1 dB more than a limit; of a cosine above 0.967 no share of the limit itself is left."""
    for limit in (0.9, 0.985, 0.9999):
        assert answer_of(Judged(said=(said("cosine", 1.0, limit),))).verdict is Told.PASSED
        scarce = limit + 0.01 * (1 - limit)
        assert answer_of(Judged(said=(said("cosine", scarce, limit),))).verdict is Told.FAILED


def test_the_nearest_is_the_one_with_the_least_margin_that_is_known() -> None:
    every = (said("nonFinite", 0.0, 0.0, "finite"), said("cosine", 0.99, 0.98), said("snr", 29.0, 20.0))
    nearest = Judged(said=every).nearest
    assert nearest is not None
    assert nearest.metric == "snr"
