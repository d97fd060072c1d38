"""Figures of a whole dataset that are no mean, and how far they would move with other samples: a paired bootstrap.

The same samples are drawn for golden and for the candidate: what is hard for both moves the two figures together.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from assay_runner.tensors import Array, Floats

RESAMPLES: Final = 1000
"""Draws by default: the ends of a 95 % interval are then the 25th smallest and largest."""
TAIL: Final = 0.025
"""Share of the draws beyond each end."""

Rows = Array | Sequence[Any]
"""One entry per sample: an array along its first axis, or a list of whatever the metric keeps."""
Reduce = Callable[[Rows], float]


@dataclass(frozen=True)
class Reduced:
    """Figures of the whole dataset with 95 % intervals; ends are infinite where too many draws have no figure.

    Attributes:
        golden: golden's own.
        candidate: the candidate's.
        low: lower end of the candidate's.
        high: upper end of it.
        kept_low: lower end of the candidate's share of golden's.
        kept_high: upper end of it.
        resamples: draws.
    """

    golden: float
    candidate: float
    low: float
    high: float
    kept_low: float
    kept_high: float
    resamples: int


def reduced(golden: Rows, candidate: Rows, reduce: Reduce, resamples: int = RESAMPLES, seed: int = 0) -> Reduced:
    """Both figures, and intervals by drawing samples with replacement, the same for both; equal for equal input.

    Args:
        golden: one entry per sample.
        candidate: likewise.
        reduce: entries to the figure.
        resamples: draws, at least 40.
        seed: of the draws.
    """
    draws = np.random.default_rng(seed).integers(0, len(golden), (resamples, len(golden)))
    pairs = np.array([(reduce(chosen(golden, draw)), reduce(chosen(candidate, draw))) for draw in draws], np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        kept = pairs[:, 1] / pairs[:, 0]
    whole = np.arange(len(golden))
    ends = (*_ends(pairs[:, 1]), *_ends(kept))
    return Reduced(reduce(chosen(golden, whole)), reduce(chosen(candidate, whole)), *ends, resamples)


def chosen(rows: Rows, indices: Array) -> Rows:
    """The entries of some samples."""
    return rows[indices] if isinstance(rows, np.ndarray) else [rows[index] for index in indices]


def single(rows: Rows, reduce: Reduce) -> Floats:
    """The figure of each sample by itself, (samples,)."""
    return np.array([reduce(chosen(rows, np.array([index]))) for index in range(len(rows))], np.float64)


def _ends(figures: Floats) -> tuple[float, float]:
    """Both ends of the middle 95 %; a draw without figure counts as the worst at either."""
    known = np.isfinite(figures)
    low = np.quantile(np.where(known, figures, -np.inf), TAIL, method="lower")
    high = np.quantile(np.where(known, figures, np.inf), 1 - TAIL, method="higher")
    return float(low), float(high)
