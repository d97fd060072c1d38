"""How far each sample's output is from the golden one.

Per sample, with golden g, candidate c and d = c - g over the sample's elements:

    maxAbs  max |d|
    maxRel  max |d| / max(|g|, 0.001 * max |g|): elements near zero are held against the sample's scale
    cosine  c.g / (|c| |g|)
    snr     10 log10(sum g^2 / sum d^2) dB
    psnr    10 log10(max |g|^2 / mean d^2) dB

Where nothing differs, psnr and snr are +Inf. A NaN in either, or an infinity the other does not have, makes a sample
bad: differences Inf, cosine -1, psnr and snr -Inf; it fails every limit.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from assay_runner.evidence import Floats
from assay_runner.statistics.blocks import BLOCK, cosine, matched, plain, snr
from assay_runner.tensors import Array

FLOOR = 1e-3


@dataclass(frozen=True)
class Drift:
    """One value per sample; see the module's docstring."""

    max_abs: Floats
    max_rel: Floats
    cosine: Floats
    psnr: Floats
    snr: Floats
    not_finite: NDArray[np.bool_]
    top_k: dict[int, NDArray[np.bool_]]


def drift(golden: Array, candidate: Array, ks: Collection[int] = ()) -> Drift:
    """Compare two outputs of one shape, sample by sample along the first axis.

    Args:
        golden: real or boolean, (samples, ...).
        candidate: likewise.
        ks: the k of each top-k agreement wanted.
    """
    samples = len(golden)
    golden, candidate = plain(golden), plain(candidate)
    first, second = golden.reshape(samples, -1), candidate.reshape(samples, -1)
    height = max(1, BLOCK // max(1, first.shape[1]))
    parts = [_rows(first[i : i + height], second[i : i + height]) for i in range(0, samples, height)]
    empty = np.zeros((0, 8))
    max_abs, max_rel, signal, noise, dot, peak, bad, power = np.concatenate(parts or [empty]).T
    mean = noise / max(1, first.shape[1])
    wrong = bad > 0
    return Drift(
        max_abs=np.where(wrong, np.inf, max_abs),
        max_rel=np.where(wrong, np.inf, max_rel),
        cosine=cosine(signal, power, dot, wrong),
        psnr=snr(peak**2, mean, wrong),
        snr=snr(signal, noise, wrong),
        not_finite=~_finite(second),
        top_k={k: same_top_k(golden, candidate, k) for k in ks},
    )


def same_top_k(golden: Array, candidate: Array, k: int) -> NDArray[np.bool_]:
    """Whether the k largest elements along the last axis are the same ones; of equal elements the first counts.

    Every row of a sample must agree; a sample with NaN does not.
    """
    samples = len(golden)
    if golden.ndim < 2 or golden.size == 0:
        return np.zeros(samples, np.bool_)
    classes = golden.shape[-1]
    first, second = golden.reshape(-1, classes), candidate.reshape(-1, classes)
    height = max(1, BLOCK // classes)
    same = [_same(first[i : i + height], second[i : i + height], k) for i in range(0, len(first), height)]
    return np.asarray(np.concatenate(same).reshape(samples, -1).all(axis=1))


def _same(golden: Array, candidate: Array, k: int) -> NDArray[np.bool_]:
    if k == 1:
        same = golden.argmax(axis=1) == candidate.argmax(axis=1)
    else:
        same = (top(golden, k) == top(candidate, k)).all(axis=1)
    # A maximum is NaN where any element is.
    return np.asarray(same & ~np.isnan(golden.max(axis=1)) & ~np.isnan(candidate.max(axis=1)))


def top(scores: Array, k: int) -> NDArray[np.bool_]:
    """Which elements of each row are its k largest; of equal ones the first count. Rows without NaN."""
    classes = scores.shape[1]
    if k >= classes:
        return np.ones(scores.shape, np.bool_)
    least = np.partition(scores, classes - k, axis=1)[:, classes - k, None]
    above, level = scores > least, scores == least
    missing = k - above.sum(axis=1, keepdims=True)
    return np.asarray(above | (level & (np.cumsum(level, axis=1) <= missing)))


def ranks(scores: Array, labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """How many classes come before the label's: those that score more, or as much with a smaller index.

    A row with NaN puts its label last, so that it is never a hit.

    Args:
        scores: (samples, classes).
        labels: (samples,), in [0, classes).
    """
    wide = scores.astype(np.float64)
    own = np.take_along_axis(wide, labels[:, None], axis=1)
    before = (wide > own) | ((wide == own) & (np.arange(wide.shape[1]) < labels[:, None]))
    return np.asarray(np.where(np.isnan(wide).any(axis=1), wide.shape[1], before.sum(axis=1)), np.int64)


def _finite(array: Array) -> NDArray[np.bool_]:
    if array.dtype.kind in "biu":
        return np.ones(len(array), np.bool_)
    if array.shape[1] == 0:
        return np.ones(len(array), np.bool_)
    # A minimum and a maximum cost no temporary; NaN and infinities show in one of them.
    return np.asarray(np.isfinite(array.min(axis=1)) & np.isfinite(array.max(axis=1)))


def _rows(golden: Array, candidate: Array) -> Floats:
    """Columns max_abs, max_rel, signal, noise, dot, peak, bad, power for each row."""
    width = max(1, BLOCK // len(golden))
    starts = range(0, golden.shape[1], width)
    blocks = [(golden[:, s : s + width], candidate[:, s : s + width]) for s in starts]
    result = np.zeros((len(golden), 8))
    for g, c in blocks:
        wide, found, unmatched = matched(g.astype(np.float64), c.astype(np.float64))
        difference = found - wide
        result[:, 0] = np.maximum(result[:, 0], np.abs(difference).max(axis=1))
        result[:, 2] += np.einsum("ij,ij->i", wide, wide)
        result[:, 3] += np.einsum("ij,ij->i", difference, difference)
        result[:, 4] += np.einsum("ij,ij->i", wide, found)
        result[:, 7] += np.einsum("ij,ij->i", found, found)
        result[:, 5] = np.maximum(result[:, 5], np.abs(wide).max(axis=1))
        result[:, 6] = np.maximum(result[:, 6], unmatched.any(axis=1))
    for g, c in blocks:
        # The scale is known only now; where nothing differs there is nothing to divide.
        if result[:, 0].any():
            result[:, 1] = np.maximum(result[:, 1], _relative(g, c, result[:, 5]))
    return result


def _relative(golden: Array, candidate: Array, peak: Floats) -> Floats:
    wide, found, _ = matched(golden.astype(np.float64), candidate.astype(np.float64))
    difference = found - wide
    scale = np.maximum(np.abs(wide), FLOOR * peak[:, None])
    with np.errstate(divide="ignore", invalid="ignore"):
        quotient = np.abs(difference) / scale
    return np.asarray(np.where(difference == 0, 0.0, quotient).max(axis=1), np.float64)
