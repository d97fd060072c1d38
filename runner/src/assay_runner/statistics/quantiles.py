"""Quantiles of per-sample values that may be infinite: always a value that occurs, never one in between."""

from __future__ import annotations

import math

import numpy as np

from assay_runner.tensors import Floats


def bad_end(values: Floats, share: float, more_is_better: bool) -> float:
    """The value that `share` of the samples are at least as good as; NaN of nothing.

    Args:
        values: one per sample.
        share: in (0, 1]; 0.5 is the median, 1 the worst.
        more_is_better: whether large values are the good ones.
    """
    if not values.size:
        return math.nan
    ordered = np.sort(-values if more_is_better else values)
    value = float(ordered[math.ceil(share * values.size) - 1])
    return -value if more_is_better else value


def worst_index(values: Floats, more_is_better: bool) -> int:
    """Index of the worst value; of equal ones the first."""
    return int(np.argmin(values) if more_is_better else np.argmax(values))
