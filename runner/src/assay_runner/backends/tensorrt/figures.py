"""What the GPU's reductions say of one tensor, and the record in device memory that says it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from assay_runner.statistics.blocks import Sums

EMPTY: Final = {
    **dict.fromkeys(("signal", "noise", "cross", "largest"), 0.0),
    "low": np.inf,
    "high": -np.inf,
    "golden_low": np.inf,
    "golden_high": -np.inf,
    "golden_least": np.inf,
    **dict.fromkeys(("bad", "overflow", "underflow", "subnormal"), 0),
    **dict.fromkeys(("elements", "samples", "nan", "positive", "negative", "own", "settled"), 0),
    "first": 2**64 - 1,
}
TOTAL: Final = np.dtype([(name, "<f8" if isinstance(value, float) else "<u8") for name, value in EMPTY.items()])
"""A record, as `Total` in reductions.cu has it."""


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
    golden_least: float | None
    overflow: int | None
    underflow: int | None
    subnormal: int | None


def figures(record: Any, formats: bool) -> Figures:
    """A record of the device in words: one element of an array of TOTAL."""
    low, high, golden_low, golden_high = (float(record[n]) for n in ("low", "high", "golden_low", "golden_high"))
    sums = Sums(
        signal=float(record["signal"]),
        noise=float(record["noise"]),
        cross=float(record["cross"]),
        largest=float(record["largest"]),
        bad=bool(record["bad"]),
        elements=int(record["elements"]),
    )
    samples, nan, positive, negative = (int(record[n]) for n in ("samples", "nan", "positive", "negative"))
    first = int(record["first"]) if samples else -1
    own = int(record["own"]) if record["settled"] else None
    least = float(record["golden_least"]) if formats else None
    over, under, subnormal = (int(record[n]) if formats else None for n in ("overflow", "underflow", "subnormal"))
    return Figures(
        sums, low, high, golden_low, golden_high, samples, nan, positive, negative, first, own, least,
        over, under, subnormal,
    )  # fmt: skip
