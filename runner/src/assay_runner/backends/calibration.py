"""Ranges of activations for 8-bit formats, from a calibration set of any size.

ONNX Runtime's own calibrators keep every tensor of every batch, and their entropy method, with as many bins as
quantised bins, returns the full range. So ranges are found here, streaming: one pass over the set for the largest
magnitudes, which is all that minmax takes; a second for histograms, whose bins follow them, where a method chooses how
much of the range to keep. Memory is one histogram per tensor, however many samples there are.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final, Literal, NamedTuple, Protocol

import numpy as np

from assay_runner.backends.thresholds import Histogram, entropy_threshold, mse_threshold, percentile_threshold
from assay_runner.errors import InvalidInput
from assay_runner.graphs.eight_bit import FORMATS, EightBit
from assay_runner.graphs.sample_axes import SampleAxes
from assay_runner.tensors import Array, Arrays, Batches, Progress

Method = Literal["entropy", "minmax", "percentile", "mse"]

PERCENTILE: Final = 99.99
BINS: Final[Mapping[Method, int]] = {"entropy": 2048, "percentile": 8192, "mse": 8192}


class Range(NamedTuple):
    """How much of a tensor an 8-bit format represents.

    Attributes:
        end: largest magnitude that is represented; what is beyond it is cut.
        peak: largest magnitude on the calibration set.
    """

    end: float
    peak: float


class Tensors(Protocol):
    """Runs the model and shows the tensors to be calibrated."""

    def run(self, inputs: Arrays) -> dict[str, Array]:
        """Tensors by name."""
        ...


def ranges(
    session: Tensors,
    batches: Batches,
    names: frozenset[str],
    method: Method,
    progress: Progress,
    *,
    axes: SampleAxes,
    percentile: float = PERCENTILE,
    kind: EightBit = "int8",
) -> dict[str, Range]:
    """Largest magnitude to be represented, and seen, by tensor.

    Args:
        session: runs the model.
        batches: calibration inputs.
        names: tensors wanted: graph inputs, or what the session shows.
        method: how the magnitude is chosen.
        progress: told how far it is.
        axes: where the samples of the tensors are.
        percentile: share of the magnitudes to keep in per cent, for the method of that name.
        kind: the format whose rounding error mse counts.

    Raises:
        InvalidInput: the calibration set is empty, or a tensor is not finite on it.
    """
    if batches.samples < 1:
        raise InvalidInput(f"the calibration set is empty: an {kind} candidate needs at least one calibration sample")
    largest: dict[str, float] = dict.fromkeys(sorted(names), 0.0)
    for name, values in _values(session, batches, names, axes, "calibrate: ranges", progress):
        peak = float(max(values.max(initial=0), -values.min(initial=0)))
        if not np.isfinite(peak):
            label = FORMATS[kind].label
            raise InvalidInput(f"tensor {name!r} is not finite on the calibration set: it has no {label} range")
        largest[name] = max(largest[name], peak)
    if method == "minmax":
        return {name: Range(peak, peak) for name, peak in largest.items()}
    counts = {name: np.zeros(BINS[method], np.int64) for name in largest}
    for name, values in _values(session, batches, names, axes, "calibrate: histograms", progress):
        if largest[name] > 0:
            magnitudes = np.abs(values[values != 0])
            counts[name] += np.histogram(magnitudes, BINS[method], range=(0, largest[name]))[0]
    shares = {name: _share(counts[name], method, percentile, kind) for name in largest}
    return {name: Range(peak * shares[name], peak) for name, peak in largest.items()}


def _share(counts: Histogram, method: Method, percentile: float, kind: EightBit) -> float:
    match method:
        case "percentile":
            return percentile_threshold(counts, percentile)
        case "mse":
            return mse_threshold(counts, kind)
        case _:
            return entropy_threshold(counts)


def _values(
    session: Tensors, batches: Batches, names: frozenset[str], axes: SampleAxes, stage: str, progress: Progress
) -> Iterator[tuple[str, Array]]:
    progress.stage(stage, batches.samples, "samples")
    for batch in batches:
        shown: Mapping[str, Array] = {**batch.inputs, **session.run(batch.inputs)}
        for name in names & shown.keys():
            yield name, axes.judged(name, shown[name], batch).reshape(-1)
        progress.advance(batch.count)
