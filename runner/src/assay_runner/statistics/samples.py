"""How far each sample's output is from the golden one.

Per sample, with golden g, candidate c and d = c - g over the sample's elements:

    maxAbs  max |d|
    maxRel  max |d| / max(|g|, 0.001 * max |g|): elements near zero are held against the sample's scale
    cosine  c.g / (|c| |g|)
    snr     10 log10(sum g^2 / sum d^2) dB
    psnr    10 log10(max |g|^2 / mean d^2) dB

Where nothing differs, psnr and snr are +Inf. Elements that are not finite in golden, and the same in the candidate, are
left out. Where the candidate alone is not finite the sample is broken, and no figure of it exists: all are NaN, maxAbs
and maxRel Inf if the candidate has infinities only. Where golden alone is not finite there is nothing to compare with.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, fields, replace

import numpy as np
from numpy.typing import NDArray

from assay_runner.statistics import row_sums as columns
from assay_runner.statistics.blocks import BLOCK, cosine, plain, snr
from assay_runner.statistics.row_sums import WIDTH, row_sums, together, within_reach
from assay_runner.statistics.scales import COLUMNS, Cut
from assay_runner.tensors import Array, Floats


@dataclass(frozen=True)
class Drift:
    """Figures of an output, each an array with one element per sample; see the module's docstring.

    Attributes:
        max_abs: largest absolute difference; NaN or Inf where broken, as are all figures.
        max_rel: largest relative difference.
        cosine: cosine similarity in [-1, 1].
        psnr: dB; +Inf where nothing differs.
        snr: dB, likewise.
        broken: whether the candidate holds NaN or Inf where golden has another value.
        nan: whether NaN is among it.
        void: whether golden holds NaN or Inf where the candidate is finite, so that there is nothing to compare with.
        compared: elements that are finite in golden, or not the same.
        as_golden: elements that are not finite, in both alike; left out of all figures.
        top_k: for each k asked for, whether the k largest elements are golden's.
        sums: (samples, parts, COLUMNS): of each part that was asked for, what `scales.figures` needs.
    """

    max_abs: Floats
    max_rel: Floats
    cosine: Floats
    psnr: Floats
    snr: Floats
    broken: NDArray[np.bool_]
    nan: NDArray[np.bool_]
    void: NDArray[np.bool_]
    compared: NDArray[np.int64]
    as_golden: NDArray[np.int64]
    top_k: dict[int, NDArray[np.bool_]]
    sums: Floats = field(default_factory=lambda: np.zeros((0, 0, COLUMNS)), kw_only=True)

    def repeated(self, times: int) -> Drift:
        """Every value so many times in a row: what samples have in common."""
        return self if times == 1 else _each(lambda values: values[0].repeat(times, axis=0), (self,))


def joined(parts: Sequence[Drift]) -> Drift:
    """The samples of several, one after another; at least one, all with the same k."""
    return _each(np.concatenate, parts)


def _each(work: Callable[[Sequence[Array]], Array], parts: Sequence[Drift]) -> Drift:
    """What that makes of every figure's arrays, one of each part."""
    arrays = {f.name: work([getattr(p, f.name) for p in parts]) for f in fields(Drift) if f.name != "top_k"}
    return Drift(**arrays, top_k={k: work([p.top_k[k] for p in parts]) for k in parts[0].top_k})


def drift(golden: Array, candidate: Array, ks: Collection[int] = (), cut: Cut | None = None) -> Drift:
    """Compare two outputs of one shape, sample by sample along the first axis.

    Args:
        golden: real or boolean, (samples, ...).
        candidate: likewise.
        ks: the k of each top-k agreement wanted.
        cut: parts whose sums are wanted too.
    """
    samples = len(golden)
    golden, candidate = plain(golden), plain(candidate)
    height = max(1, BLOCK // max(1, math.prod(golden.shape[1:])))
    chunks = [slice(start, start + height) for start in range(0, samples, height)]
    found = [_sums(_taken(golden[rows], cut), _taken(candidate[rows], cut)) for rows in chunks]
    number = len(cut.parts) if cut is not None and cut.fits(golden.shape) else 1
    none = np.zeros((0, number, WIDTH))
    sums, reached = (np.concatenate([none, *each]) for each in zip(*found, strict=True)) if found else (none, none)
    agreement = {k: same_top_k(golden, candidate, k) for k in ks}
    return _figures(reached, math.prod(golden.shape[1:]), agreement, _of_parts(sums, golden.shape, cut))


def nothing(samples: int, ks: Collection[int] = (), parts: int = 0) -> Drift:
    """Of so many samples of which nothing can be compared."""
    blank = np.zeros((samples, 0), np.float32)
    return replace(drift(blank, blank, ks), sums=np.zeros((samples, parts, COLUMNS)))


def identical(golden: Array, candidate: Array) -> NDArray[np.bool_]:
    """Whether each sample's integers or booleans are golden's, compared as what they are: float64 would lose bits."""
    return np.asarray((golden == candidate).reshape(len(golden), math.prod(golden.shape[1:])).all(axis=1))


def same_top_k(golden: Array, candidate: Array, k: int) -> NDArray[np.bool_]:
    """Whether the k largest elements along the last axis are the same ones; of equal elements the first counts.

    Every row of a sample must agree; a sample with NaN that the other does not have does not. NaN in both is least.
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
    golden, candidate, odd = _without_nan(golden, candidate)
    if k == 1:
        same = golden.argmax(axis=1) == candidate.argmax(axis=1)
    else:
        same = (top(golden, k) == top(candidate, k)).all(axis=1)
    return np.asarray(same & ~odd)


def _without_nan(golden: Array, candidate: Array) -> tuple[Array, Array, NDArray[np.bool_]]:
    """Both with -Inf for NaN, and the rows in which one has a NaN that the other has not."""
    # A maximum is NaN where any element is.
    if not (np.isnan(golden.max()) or np.isnan(candidate.max())):
        return golden, candidate, np.zeros(len(golden), np.bool_)
    first, second = np.isnan(golden), np.isnan(candidate)
    odd = (first != second).any(axis=1)
    return np.where(first, -np.inf, golden), np.where(second, -np.inf, candidate), np.asarray(odd)


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


def _figures(sums: Floats, width: int, top_k: dict[int, NDArray[np.bool_]], of_parts: Floats) -> Drift:
    """Of all parts together, `width` elements per sample."""
    max_abs, max_rel, signal, noise, dot, peak, broken, power, nan, void, same = together(sums).T
    compared = width - same
    wrong, lost = broken > 0, np.where(nan > 0, np.nan, np.inf)
    return Drift(
        max_abs=np.where(wrong, lost, max_abs),
        max_rel=np.where(wrong, lost, max_rel),
        cosine=cosine(signal, power, dot, wrong),
        psnr=np.where(wrong, np.nan, snr(peak**2, noise / np.maximum(1, compared), wrong)),
        snr=np.where(wrong, np.nan, snr(signal, noise, wrong)),
        broken=wrong,
        nan=nan > 0,
        void=void > 0,
        compared=compared.astype(np.int64),
        as_golden=same.astype(np.int64),
        top_k=top_k,
        sums=of_parts,
    )


def _sums(golden: Sequence[Array], candidate: Sequence[Array]) -> tuple[Floats, Floats]:
    """Of some samples, as they are, which compare from sample to sample; and so that their ratios are right."""
    sums = row_sums(golden, candidate)
    return sums, within_reach(golden, candidate, sums)


def _taken(rows: Array, cut: Cut | None) -> list[Array]:
    """The parts, (samples, elements) each; all of it where nothing is to be cut, or nothing fits."""
    if cut is None or not cut.fits(rows.shape):
        return [rows.reshape(len(rows), math.prod(rows.shape[1:]))]
    return cut.taken(rows)


def _of_parts(sums: Floats, shape: tuple[int, ...], cut: Cut | None) -> Floats:
    """The columns that `scales` reads; zeros of an output that could not be cut."""
    if cut is None or not cut.fits(shape):
        return np.zeros((len(sums), len(cut.parts) if cut else 0, COLUMNS))
    of, channel = columns, math.prod(shape[1:]) // sum(part.size for part in cut.parts)
    sizes = np.array([channel * part.size for part in cut.parts])
    kept = sums[:, :, [of.SIGNAL, of.NOISE, of.DOT, of.POWER, of.PEAK]]
    return np.concatenate([kept, (sizes - sums[:, :, of.SAME])[:, :, None]], axis=2)
