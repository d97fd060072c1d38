"""Details of the checks that judge outputs against golden's: `outputDrift`, `labelAccuracy` and `metric`."""

from __future__ import annotations

from typing import Literal

from assay_api.details_base import Details
from assay_api.model import Model
from assay_api.numbers import Number


class SpreadEntry(Model):
    """A metric over the samples."""

    worst: Number
    """Of the worst sample."""
    p99: Number
    """99 % of the samples are as good."""
    p50: Number
    """Half of the samples are as good."""


class ChannelGroupEntry(Model):
    """Channels of one scale, of an output that holds several."""

    channels: str
    """Which channels, for example channels 4–83, or channels 4–84 of every 85 where they come again."""
    largest: Number
    """Largest magnitude of golden."""
    snr: SpreadEntry | None = None
    """Signal-to-noise ratio in dB, each sample's noise against its own power or, where that is more, the mean sample's.
    Absent where there is too little in these channels to be judged for itself."""


class OutputDriftDetails(Details):
    """Details of `outputDrift`."""

    samples: int
    """Samples compared."""
    equal: Number | None = None
    """Share of samples that are identical, of an output of integers or booleans."""
    max_abs: SpreadEntry | None = None
    """Largest absolute difference."""
    max_rel: SpreadEntry | None = None
    """Largest relative difference."""
    cosine: SpreadEntry | None = None
    """Cosine similarity."""
    psnr: SpreadEntry | None = None
    """Peak signal-to-noise ratio in dB."""
    snr: SpreadEntry | None = None
    """Signal-to-noise ratio in dB."""
    not_finite: int | None = None
    """Samples in which the candidate holds NaN or Inf where golden has another value."""
    not_finite_in_golden_only: int | None = None
    """Samples in which golden holds NaN or Inf where the candidate is finite."""
    elements_not_finite_in_both: int | None = None
    """Elements that are not finite in both alike; left out of all figures."""
    other_rows: int | None = None
    """Samples that hold another number of rows than golden's, where the data decide it and it differs anywhere."""
    groups: tuple[ChannelGroupEntry, ...] = ()
    """Channels by scale, where the largest magnitudes of their numbers differ by more than a factor of 8."""


class LabelAccuracyDetails(Details):
    """Details of `labelAccuracy`."""

    top1: Number | None = None
    """Share of samples whose label is the candidate's largest score, where that is judged."""
    golden_top1: Number | None = None
    """Golden's."""
    top5: Number | None = None
    """Share of samples whose label is among the candidate's five largest scores, where that is judged."""
    golden_top5: Number | None = None
    """Golden's."""
    both_hit: int
    """Samples that both name rightly."""
    only_golden_hits: int
    """Samples that golden alone names rightly."""
    only_candidate_hits: int
    """Samples that the candidate alone names rightly."""
    neither_hits: int
    """Samples that neither names rightly."""
    kept_lower_bound: Number
    """Share of golden's accuracy that is kept at least, with 95 % confidence."""
    kept_upper_bound: Number
    """Share of golden's accuracy that is kept at most, with 95 % confidence."""
    interval: Literal["paired", "none"]
    """Whether the interval was judged or the share itself."""
    samples_to_settle: int | None = None
    """Samples that would settle it, where these do not."""


class DetectionsDetails(Details):
    """Details of `detections`."""

    samples: int
    """Samples looked at."""
    golden: int
    """Golden's detections."""
    candidate: int
    """The candidate's detections."""
    found: int
    """Pairs: the same detection in both, one of them perhaps a little below the score that is asked for."""
    lost: int
    """Golden's detections that the candidate does not have."""
    gained: int
    """Detections that the candidate alone has, and rows in it that are NaN or infinite."""
    moved: int
    """Pairs whose boxes overlap less than they should."""
    rescored: int
    """Pairs whose scores differ by more than they should."""
    least_iou: Number
    """Smallest overlap of a pair."""
    largest_score_change: Number
    """Largest difference between the scores of a pair."""
    worst_sample: int | None = None
    """Index of the sample in which most is lost or gained; where nothing is, in which most is moved or scored
    otherwise."""


class MetricDetails(Details):
    """Details of `metric`."""

    mean: Number
    """The candidate's mean score; of a metric that reduces over the dataset, its figure there."""
    golden_mean: Number
    """Golden's."""
    samples: int
    """Samples scored."""
    worst_sample: int | None = None
    """Index of the sample that lost most."""
    low: Number | None = None
    """Of a metric that reduces over the dataset: lower end of the 95 % interval of what is judged, by a paired
    bootstrap."""
    high: Number | None = None
    """Upper end of it."""
    resamples: int | None = None
    """Draws of that bootstrap."""
