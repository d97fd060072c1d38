"""What is known of one tensor of a candidate, and of golden's beside it: the same wherever it was counted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from assay_runner.statistics.blocks import Sums


class Early(NamedTuple):
    """What the first samples of a tensor had, so that they alone can be run again and compared.

    Attributes:
        samples: so many.
        snr: dB of golden's power over that of the difference.
    """

    samples: int
    snr: float


@dataclass(frozen=True)
class Figures:
    """What is known of one tensor.

    Attributes:
        sums: over all pairs of one shape.
        low: smallest finite value of the candidate; Inf where it has none.
        high: largest; -Inf where it has none.
        golden_low: the same of golden.
        golden_high: the same of golden.
        samples: samples in which the candidate is not finite.
        nan: samples with NaN.
        positive: samples with +Inf.
        negative: samples with -Inf.
        first: index of the first such sample; -1 where there is none.
        own: samples with such a value where golden has another; None where golden was never there to tell.
        golden_least: smallest finite magnitude of golden that is not zero, Inf where there is none; like what follows,
            None unless it was asked for.
        overflow: finite values of golden that FP16 rounds to an infinity.
        underflow: values of golden, not zero, that FP16 rounds to zero.
        subnormal: values of golden that FP16 rounds to a subnormal number.
        early: the candidate against golden in the first samples alone; None where they are too few, or nobody knows.
        reshaped: whether it had more or fewer elements than golden's in some batch; those are not in the sums.
    """

    sums: Sums
    low: float
    high: float
    golden_low: float
    golden_high: float
    samples: int
    nan: int
    positive: int
    negative: int
    first: int
    own: int | None
    golden_least: float | None = None
    overflow: int | None = None
    underflow: int | None = None
    subnormal: int | None = None
    early: Early | None = None
    reshaped: bool = False
