"""Where to clip a tensor, from the histogram of its magnitudes: what is lost above against what is gained below.

Every method takes equal bins from 0 on and gives the share of the largest magnitude to keep. Zeros are in no histogram:
each range holds them exactly. What every clip costs follows from running sums over the bins, so that all methods
together take a few milliseconds per tensor.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from assay_runner.graphs.eight_bit import FORMATS, EightBit
from assay_runner.tensors import Floats

Histogram = NDArray[np.int64]

LEVELS: Final = 128
STEP: Final = 8
OCTAVES: Final = 8
CLIPS_PER_OCTAVE: Final = 16
_NONE: Final = 1e-4
"""What an empty level under a full one counts as, in values."""


def entropy_threshold(counts: Histogram) -> float:
    """The share, in (0, 1], whose clipped and quantised histogram diverges least (Kullback-Leibler) from the histogram.

    S. Migacz, "8-bit Inference with TensorRT", GTC 2017, with 2048 bins and 128 even levels, for FP8 too. One thing
    differs: the quantised histogram is not scaled up to make good for what clipping took from it, or values of a few
    discrete levels, such as grey scales, would lose all but the lowest (measured: 99 % top-1 to 11 %).

    Args:
        counts: of equal bins that end at the largest magnitude.
    """
    if not counts.any():
        return 1.0
    edges = np.arange(LEVELS, len(counts) + 1, STEP)
    return float(edges[int(np.argmin(_divergences(counts, edges)))] / len(counts))


def percentile_threshold(counts: Histogram, percentile: float) -> float:
    """The share of the bins, in (0, 1], below which `percentile` per cent of the magnitudes lie, interpolated in a bin.

    J. McKinstry et al., "Discovering Low-Precision Networks Close to Full-Precision Networks", 2018, arXiv:1809.04191.
    """
    below = np.cumsum(counts)
    total = int(below[-1])
    if not total:
        return 1.0
    wanted = total * percentile / 100
    bin_ = int(np.searchsorted(below, wanted))
    inside = (wanted - (below[bin_] - counts[bin_])) / counts[bin_]
    return float((bin_ + inside) / len(counts))


def mse_threshold(counts: Histogram, kind: EightBit, peak: float = 1.0) -> float:
    """The share, in (0, 1], with the least mean squared error of clipping and rounding, the format's levels counted in.

    W. Sung, S. Shin, K. Hwang, "Resiliency of Deep Neural Networks under Quantization", 2015, arXiv:1511.06488. A bin
    stands for its middle. Clips are tried a sixteenth of an octave apart, down to 1/256 of the range; of equals the
    widest is taken.

    Args:
        counts: of equal bins.
        kind: the format.
        peak: where the largest magnitude lies, as a share of all bins.
    """
    if not counts.any():
        return 1.0
    width = 1.0 / (len(counts) * peak)
    middles = np.minimum((np.arange(len(counts)) + 0.5) * width, 1.0)
    number, first = (np.append(0.0, np.cumsum(each)) for each in (counts, counts * middles))
    shares = 2.0 ** -(np.arange(OCTAVES * CLIPS_PER_OCTAVE + 1) / CLIPS_PER_OCTAVE)
    restored = FORMATS[kind].scale(shares).astype(np.float64)[:, None] * _levels(kind)
    # Each value is rounded to the nearest level, and what is beyond the last to that; ties cost the same either way. So
    # the bins of a level are those whose middles lie between those of it and its neighbours.
    between = (restored[:, 1:] + restored[:, :-1]) / (2 * width)
    bounds = np.full((len(shares), restored.shape[1] + 1), len(counts))
    bounds[:, 0] = 0
    np.minimum(np.ceil(between - 0.5), len(counts), out=bounds[:, 1:-1], casting="unsafe")
    # Σ (x - r)², of which Σ x² is the same for all clips.
    errors = (restored * (restored * np.diff(number[bounds]) - 2 * np.diff(first[bounds]))).sum(axis=1)
    return float(shares[int(np.argmin(errors))])


@lru_cache
def _levels(kind: EightBit) -> Floats:
    """Every magnitude that a format has, in order."""
    form = FORMATS[kind]
    if form.dtype.kind == "i":
        return np.arange(form.largest + 1)
    every = np.arange(128, dtype=np.uint8).view(form.dtype).astype(np.float64)
    return np.unique(every[np.isfinite(every)])


def _divergences(counts: Histogram, edges: NDArray[np.int64]) -> Floats:
    """Divergence of the histogram, clipped at each of the edges, from its quantisation in `LEVELS` levels.

    What is beyond an edge counts to the last bin before it. Σ p log(p / q) falls apart into Σ p log p, a running sum,
    and Σ p log q, in which q is the same for all filled bins of a level: their mean.
    """
    kept = counts.astype(np.float64)
    below, filled, logs = (np.append(0.0, np.cumsum(each)) for each in (kept, kept > 0, _with_log(kept)))
    # The first bin of each level and, behind the last one, the edge.
    bounds = -(-np.arange(LEVELS + 1) * edges[:, None] // LEVELS)
    mass, share = (np.diff(each[bounds], axis=1) for each in (below, filled))
    mean = mass / np.maximum(share, 1)
    last, beyond = kept[edges - 1], below[-1] - below[edges]
    own = logs[edges - 1] + _with_log(last + beyond)
    level = np.where(last > 0, mean[:, -1], _NONE)
    quantised = (mass * np.log(np.where(mass > 0, mean, 1.0))).sum(axis=1) + beyond * np.log(level)
    result: Floats = (own - quantised) / below[-1]
    return result


def _with_log(values: Floats) -> Floats:
    """Every x times log x, 0 where x is 0."""
    result: Floats = values * np.log(np.where(values > 0, values, 1.0))
    return result
