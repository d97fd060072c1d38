"""Sums and largest values over the difference of two outputs, for each sample and each part of it.

Both are read in blocks whose float64 copies stay in cache; once more where they differ, for the largest relative
difference, whose scale is known only then.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from assay_runner.statistics.blocks import BLOCK, matched
from assay_runner.tensors import Array, Floats

FLOOR = 1e-3
SHORT = 64
"""Elements of a short row."""
SQUARED = 2.0**-400, 2.0**400
"""Magnitudes between which float64 holds squares, and those of what is smaller by all of its digits, twice over."""
WIDTH = 11
MAX_ABS, MAX_REL, SIGNAL, NOISE, DOT, PEAK, BROKEN, POWER, NAN, VOID, SAME = range(WIDTH)
"""Columns: golden is the signal, the difference the noise; broken, nan and void say that there is such a value, same
how many elements are not finite in both alike."""
UNSCALED: Final = [MAX_ABS, BROKEN, NAN, VOID, SAME]


def row_sums(golden: Sequence[Array], candidate: Sequence[Array]) -> Floats:
    """(samples, parts, WIDTH): the sums of each part; differences are relative to the largest magnitude of all parts.

    Args:
        golden: one array for each part, (samples, elements).
        candidate: likewise.
    """
    result = np.stack([_sums(first, second) for first, second in zip(golden, candidate, strict=True)], axis=1)
    peak = result[:, :, PEAK].max(axis=1)
    for part, (first, second) in enumerate(zip(golden, candidate, strict=True)):
        # The scale is known only now; where nothing differs there is nothing to divide.
        if result[:, part, MAX_ABS].any():
            clean = not result[:, part, [BROKEN, VOID, SAME]].any()
            result[:, part, MAX_REL] = _relative(first, second, peak, clean)
    return result


def within_reach(golden: Sequence[Array], candidate: Sequence[Array], sums: Floats) -> Floats:
    """`row_sums`; of samples whose squares float64 does not hold, those of the same numbers times a power of two.

    Ratios of a sample's sums are right then, for numbers of 1e-200 as for those of 1. MAX_ABS stays, and what is told
    of values that are not finite.

    Args:
        golden: one array for each part, (samples, elements).
        candidate: likewise.
        sums: theirs, (samples, parts, WIDTH).
    """
    largest = sums[:, :, [MAX_ABS, PEAK]].max(axis=(1, 2), initial=0.0)
    odd = np.flatnonzero((largest > 0) & ((largest < SQUARED[0]) | (largest > SQUARED[1])))
    if not odd.size:
        return sums
    power = -np.frexp(np.minimum(largest[odd], np.finfo(np.float64).max))[1][:, None]
    with np.errstate(over="ignore"):
        # What golden has no finite value for may be of any size.
        scaled = [[np.ldexp(part[odd].astype(np.float64), power) for part in parts] for parts in (golden, candidate)]
    result = sums.copy()
    result[odd] = row_sums(*scaled)
    for column in UNSCALED:
        result[odd, :, column] = sums[odd, :, column]
    return result


def together(sums: Floats) -> Floats:
    """(samples, WIDTH): of all parts, (samples, parts, WIDTH)."""
    if sums.shape[1] == 1:
        return sums[:, 0]
    found = np.asarray(sums.sum(axis=1))
    largest = [MAX_ABS, MAX_REL, PEAK]
    found[:, largest] = sums[:, :, largest].max(axis=1)
    return found


def _sums(golden: Array, candidate: Array) -> Floats:
    """(samples, WIDTH): all but the largest relative difference."""
    width = max(1, BLOCK // len(golden))
    result = np.zeros((len(golden), WIDTH))
    for start in range(0, golden.shape[1], width):
        wide, found = (a[:, start : start + width].astype(np.float64) for a in (golden, candidate))
        with np.errstate(invalid="ignore", over="ignore"):
            difference = found - wide
            noise, signal = _squared(difference), _squared(wide)
        if not (np.isfinite(noise).all() and np.isfinite(signal).all()):
            first, second = wide, found
            wide, found, unmatched = matched(first, second)
            if wide is not first:
                _count_odd(result, first, second, unmatched)
            difference = found - wide
            noise, signal = _squared(difference), _squared(wide)
        result[:, MAX_ABS] = np.maximum(result[:, MAX_ABS], _largest(difference))
        result[:, PEAK] = np.maximum(result[:, PEAK], _largest(wide))
        result[:, SIGNAL] += signal
        result[:, NOISE] += noise
        result[:, DOT] += np.einsum("ij,ij->i", wide, found)
        result[:, POWER] += _squared(found)
    return result


def _squared(rows: Floats) -> Floats:
    return np.asarray(np.einsum("ij,ij->i", rows, rows))


def _largest(rows: Floats) -> Floats:
    """The largest magnitude of each row, without a copy of them all unless they are short."""
    if rows.shape[1] <= SHORT:
        # NumPy goes through a short axis element by element, and through a long one many at once.
        across = np.ascontiguousarray(rows.T)
        return np.asarray(np.abs(np.maximum(across.max(axis=0), -across.min(axis=0))))
    return np.asarray(np.abs(np.maximum(rows.max(axis=1), -rows.min(axis=1))))


def _count_odd(result: Floats, golden: Floats, candidate: Floats, unmatched: Array) -> None:
    """Add what is not finite to the rows' columns."""
    there, here = np.isfinite(golden), np.isfinite(candidate)
    result[:, BROKEN] += (unmatched & ~here).any(axis=1)
    result[:, NAN] += (unmatched & np.isnan(candidate)).any(axis=1)
    result[:, VOID] += (unmatched & here).any(axis=1)
    result[:, SAME] += (~there & ~unmatched).sum(axis=1)


def _relative(golden: Array, candidate: Array, peak: Floats, clean: bool) -> Floats:
    """The largest difference of each row, relative to the element or to the sample's peak; `clean`: all is finite."""
    width = max(1, BLOCK // len(golden))
    result = np.zeros(len(golden))
    for start in range(0, golden.shape[1], width):
        wide, found = (a[:, start : start + width].astype(np.float64) for a in (golden, candidate))
        if not clean:
            wide, found, _ = matched(wide, found)
        scale = np.maximum(np.abs(wide), FLOOR * peak[:, None])
        difference = np.abs(found - wide)
        with np.errstate(divide="ignore", invalid="ignore"):
            quotient = difference / scale
        result = np.maximum(result, np.where(difference == 0, 0.0, quotient).max(axis=1))
    return result
