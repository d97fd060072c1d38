"""The record in device memory in which the GPU's reductions keep what they know of one tensor."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from assay_runner.statistics.blocks import Sums
from assay_runner.statistics.figures import Figures

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
