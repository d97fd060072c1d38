"""Ranges of activations for 8-bit formats, from a calibration set of any size, by every method in one pass.

ONNX Runtime's own calibrators keep every tensor of every batch, and their entropy method, with as many bins as
quantised bins, returns the full range. So ranges are found here, streaming: one pass over the set makes a histogram per
tensor, whose bins widen as larger values come, and of which every method takes its threshold, for the whole set and for
as many of its first samples as one likes. Memory is one histogram per tensor, however many samples there are.

Histograms over the exact range, which take a second pass, would give the same: minmax to the bit, percentile within a
bin (1/8192 of the largest magnitude), and of the clips that mse and entropy choose from one as good as the best: with
at most 0.1 % more error, and at most 1e-4 more divergence, for both are flat around their minimum.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Final, Literal, NamedTuple, Protocol

import numpy as np

from assay_runner.backends.found import Range
from assay_runner.backends.histograms import Magnitudes
from assay_runner.backends.thresholds import entropy_threshold, mse_threshold, percentile_threshold
from assay_runner.errors import CannotBuild, InvalidInput
from assay_runner.graphs.eight_bit import FORMATS, EightBit
from assay_runner.graphs.sample_axes import SampleAxes
from assay_runner.tensors import Array, Arrays, Batch, Batches, Progress

Method = Literal["entropy", "minmax", "percentile", "mse"]

PERCENTILE: Final = 99.99
BINS: Final[Mapping[Method, int]] = {"entropy": 2048, "percentile": 1 << 15, "mse": 1 << 14}
"""Bins over the range, a power of two, by method; entropy's end at the largest magnitude itself."""


class Way(NamedTuple):
    """A way to choose a tensor's range from its magnitudes.

    Attributes:
        method: of which kind.
        percentile: share of the magnitudes to keep in per cent, for the method of that name.
    """

    method: Method
    percentile: float = PERCENTILE


WAYS: Final = (
    Way("entropy"),
    Way("minmax"),
    *(Way("percentile", share) for share in (99.9, 99.99, 99.999, 99.9999)),
    Way("mse"),
)
"""All that are worth a try."""

Swept = dict[int, dict[Way, dict[str, Range]]]
"""Ranges by number of samples, way and tensor."""


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
        InvalidInput: the calibration set is empty.
        CannotBuild: a tensor is not finite on it.
    """
    way = Way(method, percentile)
    found = swept(session, batches, names, (way,), (), progress, axes=axes, kind=kind)
    return found[max(found)][way]


def swept(
    session: Tensors,
    batches: Batches,
    names: frozenset[str],
    ways: Sequence[Way],
    sizes: Collection[int],
    progress: Progress,
    *,
    axes: SampleAxes,
    kind: EightBit = "int8",
    whole: bool = False,
) -> Swept:
    """Ranges by every way, from all samples and from the first so many, in one pass.

    Args:
        session: runs the model.
        batches: calibration inputs.
        names: tensors wanted: graph inputs, or what the session shows.
        ways: how ranges are chosen.
        sizes: numbers of samples, beside all of them.
        progress: told how far it is.
        axes: where the samples of the tensors are.
        kind: the format whose rounding error mse counts.
        whole: whether the model takes whole batches only; a size then stands for the batches that reach it.

    Raises:
        InvalidInput: the calibration set is empty.
        CannotBuild: a tensor is not finite on it.
    """
    if batches.samples < 1:
        raise InvalidInput(f"the calibration set is empty: an {kind} candidate needs at least one calibration sample")
    counted = any(way.method != "minmax" for way in ways)
    seen = {name: Magnitudes(counted) for name in sorted(names)}
    progress.stage("calibrate", batches.samples, "samples")
    found: Swept = {}
    done, left = 0, sorted({size for size in sizes if 0 < size < batches.samples})
    for batch in _pieces(batches, left, whole):
        _add(seen, {**batch.inputs, **session.run(batch.inputs)}, axes, batch, kind)
        done += batch.count
        if done >= batches.samples or (left and done >= left[0]):
            left = [size for size in left if size > done]
            found[done] = {way: {name: chosen(each, way, kind) for name, each in seen.items()} for way in ways}
        progress.advance(batch.count)
    return found


def chosen(seen: Magnitudes, way: Way, kind: EightBit) -> Range:
    """The range of a tensor whose magnitudes were seen."""
    peak = seen.peak
    match way.method if peak else "minmax":
        case "percentile":
            end = min(percentile_threshold(seen.counts, way.percentile) * seen.end, peak)
        case "mse":
            pairs = seen.counts.reshape(BINS["mse"], -1).sum(axis=1)
            end = peak * mse_threshold(pairs, kind, peak / seen.end)
        case "entropy":
            end = peak * entropy_threshold(seen.resampled(BINS["entropy"]))
        case _:
            end = peak
    return Range(end, peak)


def _pieces(batches: Batches, sizes: Sequence[int], whole: bool) -> Iterator[Batch]:
    """The batches, taken apart where one of the sizes ends inside."""
    done = 0
    for batch in batches:
        inside = [] if whole else [size - done for size in sizes if done < size < done + batch.count]
        edges = [0, *inside, batch.count]
        for first, end in pairwise(edges):
            yield batch.part(first, end) if inside else batch
        done += batch.count


def _add(
    seen: Mapping[str, Magnitudes], shown: Mapping[str, Array], axes: SampleAxes, batch: Batch, kind: EightBit
) -> None:
    for name in [name for name in shown if name in seen]:
        seen[name].add(axes.judged(name, shown[name], batch))
        if not np.isfinite(seen[name].peak):
            label = FORMATS[kind].label
            raise CannotBuild(f"tensor {name!r} is not finite on the calibration set: it has no {label} range")
