"""Ranges of activations for INT8, from a calibration set of any size.

ONNX Runtime's own calibrators keep every tensor of every batch, and their entropy method, with as many bins as
quantised bins, returns the full range. So ranges are found here, streaming, and handed to ONNX Runtime's quantiser.

Minmax takes the largest magnitude seen. Entropy takes the threshold whose clipped and quantised histogram diverges
least (Kullback-Leibler) from the histogram: S. Migacz, "8-bit Inference with TensorRT", GTC 2017; 2048 bins of the
magnitude, 128 levels. One thing differs: the quantised histogram is not scaled up to make good for what clipping took
from it, or values of a few discrete levels, such as grey scales, would lose all but the lowest (measured: 99 % top-1 to
11 %). It costs a second pass, since the bins follow the largest magnitude.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from assay_runner.errors import InvalidInput
from assay_runner.tensors import Array, Arrays, Batches, Progress, rows

BINS = 2048
LEVELS = 128
STEP = 8


class Tensors(Protocol):
    """Runs the model and shows the tensors to be calibrated."""

    def run(self, inputs: Arrays) -> dict[str, Array]:
        """Tensors by name."""
        ...


def ranges(
    session: Tensors, batches: Batches, names: frozenset[str], method: Literal["entropy", "minmax"], progress: Progress
) -> dict[str, float]:
    """Largest magnitude to be represented, by tensor.

    Args:
        session: runs the model.
        batches: calibration inputs.
        names: tensors wanted: graph inputs, or what the session shows.
        method: how the magnitude is chosen.
        progress: told how far it is.

    Raises:
        InvalidInput: the calibration set is empty, or a tensor is not finite on it.
    """
    if batches.samples < 1:
        raise InvalidInput("the calibration set is empty: an int8 candidate needs at least one calibration sample")
    largest: dict[str, float] = dict.fromkeys(sorted(names), 0.0)
    for name, values in _values(session, batches, names, "calibrate: ranges", progress):
        peak = float(max(values.max(initial=0), -values.min(initial=0)))
        if not np.isfinite(peak):
            raise InvalidInput(f"tensor {name!r} is not finite on the calibration set: it has no INT8 range")
        largest[name] = max(largest[name], peak)
    if method == "minmax":
        return largest
    counts = {name: np.zeros(BINS, np.int64) for name in largest}
    for name, values in _values(session, batches, names, "calibrate: histograms", progress):
        if largest[name] > 0:
            magnitudes = np.abs(values[values != 0])
            counts[name] += np.histogram(magnitudes, BINS, range=(0, largest[name]))[0]
    return {name: largest[name] * entropy_threshold(counts[name]) for name in largest}


def entropy_threshold(counts: NDArray[np.int64]) -> float:
    """Share of the range to keep, in (0, 1]; 1 for an empty histogram.

    Args:
        counts: histogram of magnitudes, `BINS` equal bins from 0.
    """
    if not counts.any():
        return 1.0
    edges = range(LEVELS, len(counts) + 1, STEP)
    divergences = [_divergence(counts, edge) for edge in edges]
    return edges[int(np.argmin(divergences))] / len(counts)


def _divergence(counts: NDArray[np.int64], edge: int) -> float:
    """Divergence of the histogram, clipped at `edge`, from its quantisation in `LEVELS` levels."""
    kept = counts[:edge].astype(np.float64)
    reference = kept.copy()
    reference[-1] += counts[edge:].sum()
    level = np.arange(edge) * LEVELS // edge
    filled = kept > 0
    mass = np.bincount(level, kept, LEVELS)
    share = np.bincount(level, filled, LEVELS)
    quantised = np.where(filled, (mass / np.maximum(share, 1))[level], 0.0)
    used = reference > 0
    # An empty level under a full one counts as a ten-thousandth of a value.
    p, q = reference[used], np.maximum(quantised[used], 1e-4)
    return float(np.sum(p * np.log(p / q)) / p.sum())


def _values(
    session: Tensors, batches: Batches, names: frozenset[str], stage: str, progress: Progress
) -> Iterator[tuple[str, Array]]:
    progress.stage(stage, batches.samples, "samples")
    for batch in batches:
        shown: Mapping[str, Array] = {**batch.inputs, **session.run(batch.inputs)}
        for name in names & shown.keys():
            array = shown[name]
            padded = array.ndim and len(array) == len(next(iter(batch.inputs.values())))
            yield name, (rows({name: array}, batch.count)[name] if padded else array).reshape(-1)
        progress.advance(batch.count)
