"""What a set lacks on samples that it was not searched with, and how much more is asked for."""

from __future__ import annotations

import pytest

from assay_api.output_details import ChannelGroupEntry, OutputDriftDetails, SpreadEntry
from assay_api.report import Finding
from assay_runner.remedies.case import Case
from assay_runner.remedies.scarce import MOST, Lack, lacking, with_more
from tests.runner.remedies.scarce import finding


def rising(*worsts: float) -> OutputDriftDetails:
    """Of eight samples, of which the median one has the last figure of these."""
    spread = SpreadEntry(worst=worsts[0], p99=worsts[0], p50=worsts[-1])
    return OutputDriftDetails(samples=8, snr=spread, other_rows=1, equal=0.5)


@pytest.mark.parametrize(
    ("metric", "value", "limit", "details", "wanted"),
    [
        ("snr", 2.0, 17.0, rising(2.0, 30.0), MOST),
        ("snr", 2.0, 17.0, rising(2.0, 16.0), None),
        ("snr", 14.0, 17.0, rising(14.0, 16.0), 0.1),
        ("snr", 2.0, 17.0, rising(2.0, 30.0).model_copy(update={"samples": 2}), None),
        ("snr", float("-inf"), 17.0, rising(float("-inf"), 30.0), None),
        ("otherRows", 3.0, 0.0, rising(2.0, 30.0), None),
        ("equal", 0.2, 0.9, rising(2.0, 30.0), None),
        ("maxAbs", 5.0, 1.0, rising(2.0, 30.0), None),
    ],
)
def test_a_sample_that_is_far_off_is_a_matter_of_samples_where_most_are_right(
    metric: str, value: float, limit: float, details: OutputDriftDetails, wanted: float | None
) -> None:
    lack = lacking([finding("outputDrift", metric, value, limit).model_copy(update={"details": details})])
    assert (lack and lack.margin) == pytest.approx(wanted)


def test_channels_with_a_scale_of_their_own_count_too() -> None:
    group = ChannelGroupEntry.model_construct(channels="", largest=1.0, snr=SpreadEntry(worst=2.0, p99=2.0, p50=9.0))
    details = rising(40.0, 50.0).model_copy(update={"groups": (group,)})
    assert lacking([finding("outputDrift", "snr", 2.0, 17.0).model_copy(update={"details": details})]) is None


@pytest.mark.parametrize("order", [1, -1])
def test_what_is_not_finite_is_not_mended_by_more_to_spare(order: int) -> None:
    failed = [finding("outputDrift", "snr", 14.0, 17.0), finding("outputDrift", "snr", float("nan"), 17.0)]
    assert lacking(failed[::order]) is None


def test_first_what_was_missing_is_asked_for_and_then_the_whole_gap() -> None:
    case = Case.__new__(Case)
    object.__setattr__(case, "__dict__", {**dict.fromkeys(Case.__dataclass_fields__), "spare": 0.1})
    lack = Lack("snr", 0.2)
    assert [each.spare for each in with_more(case, lack)] == pytest.approx([0.1 + 0.2])
    assert [each.spare for each in with_more(case, lack, 0.5)] == pytest.approx([0.7, 0.3])
    # Two thirds of a limit where it was searched, and a third beyond it elsewhere: half is left of two thirds.
    asked = [each.spare for each in with_more(case, Lack("maxAbs", 1 / 3), 1 / 3)]
    assert asked == pytest.approx([0.5, 1 - 0.9 / (4 / 3)])


@pytest.mark.parametrize(
    ("findings", "wanted"),
    [
        ([finding("outputDrift", "snr", 14.0, 17.0)], Lack("snr", 0.1)),
        ([finding("outputDrift", "snr", 14.0, 17.0), finding("outputDrift", "maxAbs", 1.2, 1.0)], Lack("maxAbs", 0.2)),
        ([finding("outputDrift", "snr", 17.0 - 30 * MOST - 0.1, 17.0)], None),
        ([finding("outputDrift", "snr", float("nan"), 17.0)], None),
        ([finding("outputDrift", "snr", 14.0, 17.0), finding("finite", "nonFinite", 1.0, 0.0)], None),
        ([finding("labelAccuracy", "top1Kept", 0.98, 0.99)], None),
        ([], None),
    ],
)
def test_what_is_a_matter_of_samples(findings: list[Finding], wanted: Lack | None) -> None:
    lack = lacking(findings)
    assert (lack.metric if lack else None) == (wanted.metric if wanted else None)
    assert (lack.margin if lack else 0) == pytest.approx(wanted.margin if wanted else 0)
