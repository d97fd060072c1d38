"""How closely golden agrees with itself: the noise floor of its outputs, below which nothing can be judged by it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Final, Literal

import numpy as np

from assay_api.entries import FloorEntry
from assay_runner.backends.backend import Session
from assay_runner.backends.conversion import listed
from assay_runner.golden.model import BACKEND, Precision, golden_model
from assay_runner.graphs.documents import load_outline
from assay_runner.graphs.sample_axes import SampleAxes
from assay_runner.graphs.taps import random_sites
from assay_runner.graphs.upstream import upstream
from assay_runner.models.loading import LoadedModel
from assay_runner.statistics.samples import drift
from assay_runner.tensors import Array, Batch, Batches, names

PRESUMED: Final = 80.0
"""Signal-to-noise ratio in dB that FP32 is presumed to hold where nobody measured. One rounding to 24 bits leaves
152 dB, and N of them in a row 152 - 10 log10 N: ten million, a hundred layers of sums of a hundred thousand, leave
82. Sums that cancel leave less."""
NEAR_ZERO: Final = 100.0
"""How much larger than the noise of a tensor, by its peak, that of its elements near zero may be, by their own."""

EXACT: Final = "biu"
"""Kinds of integers and booleans, which have no noise."""

Against = Literal["fp64", "reordered", "unoptimised"]


def floor(output: str, against: Against, golden: Array, other: Array) -> FloorEntry | None:
    """The worst of what lies between two runs of golden on the same samples; None where nothing can be compared.

    Args:
        output: its name.
        against: what the other run is.
        golden: (samples, ...), as golden makes it.
        other: the same samples, of the other run.
    """
    if golden.shape != other.shape or {golden.dtype.kind, other.dtype.kind} & set(EXACT):
        return None
    found = drift(other, golden)
    there = np.flatnonzero((found.compared > 0) & ~found.broken & ~found.void)
    if not there.size:
        return None
    return FloorEntry(
        output=output,
        against=against,
        samples=int(there.size),
        max_abs=float(found.max_abs[there].max()),
        max_rel=float(found.max_rel[there].max()),
        cosine=float(found.cosine[there].min()),
        psnr=float(found.psnr[there].min()),
        snr=float(found.snr[there].min()),
    )


def near(metric: str, limit: float, peak: float) -> bool:
    """Whether a limit is so fine that golden's own noise may be beyond it, for all that is presumed of FP32.

    Args:
        metric: of an output's drift.
        limit: the limit.
        peak: largest magnitude of golden's output.
    """
    amplitude = 10 ** (-PRESUMED / 20)
    match metric:
        case "snr" | "psnr":
            return limit > PRESUMED
        case "cosine":
            return 1 - limit < amplitude**2 / 2
        case "maxAbs":
            return limit < amplitude * peak
        case "maxRel":
            return limit < amplitude * NEAR_ZERO
    return False


def against_double(
    model: LoadedModel, dataset: Batches, axes: SampleAxes, workdir: Path, samples: int, literal: bool = False
) -> tuple[tuple[FloorEntry, ...], tuple[str, ...]]:
    """How far outputs in FP32 are from those in FP64, on a few samples; and what a reader must know of it.

    One after the other, so that one model is in memory. Random outputs, and those of integers, have no floor.

    Raises:
        InvalidInput: the model cannot be run in FP64.
        Unavailable: memory ran out.

    Args:
        model: the audit's model.
        dataset: its inputs.
        axes: where the samples of its outputs are.
        workdir: where a converted model may be kept.
        samples: how many are run, of the first batch; all of it, where the model takes one number only.
        literal: whether golden does without ONNX Runtime's optimisations.
    """
    batch = few(model, next(iter(dataset)), samples)
    single = outputs_in(model, "fp32", batch, axes, workdir, literal)[0]
    return from_double(single, *outputs_in(model, "fp64", batch, axes, workdir, literal=True))


def from_double(
    single: Mapping[str, Array], double: Mapping[str, Array], islands: list[str]
) -> tuple[tuple[FloorEntry, ...], tuple[str, ...]]:
    """How far outputs in FP32 are from those in FP64, and what a reader must know of it.

    Args:
        single: outputs by name, samples along the first axis.
        double: the same of the same samples in FP64.
        islands: nodes that FP64 was not to be had of.
    """
    both = [name for name in single if name in double]
    lost = [name for name in both if _lost(single[name], double[name])]
    return floors("fp64", single, double), _noted(islands, lost)


def floors(against: Against, golden: Mapping[str, Array], other: Mapping[str, Array]) -> tuple[FloorEntry, ...]:
    """A floor of each output that two runs on the same samples have."""
    found = (floor(name, against, golden[name], other[name]) for name in golden if name in other)
    return tuple(entry for entry in found if entry)


def few(model: LoadedModel, batch: Batch, samples: int) -> Batch:
    """So many samples of a batch, far apart; all of it, where the model takes one number only."""
    if model.batch is not None or batch.fed <= samples:
        return batch
    chosen = np.linspace(0, batch.fed - 1, samples).astype(np.int64)
    return Batch(batch.start, samples, batch.take(chosen), axes=batch.axes)


def steady(model: LoadedModel) -> tuple[str, ...]:
    """Outputs that nothing drawn at random has a part in."""
    status = model.path.stat()
    return _steady(model.path, tuple(names(model.outputs)), status.st_size, status.st_mtime_ns)


@lru_cache(8)
def _steady(path: Path, outputs: tuple[str, ...], _size: int, _changed: int) -> tuple[str, ...]:
    """Size and time of change are there so that a file written anew is read anew."""
    graph = load_outline(path)
    drawn = {site.tensor for site in random_sites(graph)}
    return tuple(name for name in outputs if not drawn or drawn.isdisjoint(upstream(graph, name)))


def _lost(single: Array, double: Array) -> bool:
    """Whether FP32 holds NaN or Inf where FP64 has a number."""
    if single.shape != double.shape or {single.dtype.kind, double.dtype.kind} & set(EXACT):
        return False
    return bool((np.isfinite(double) & ~np.isfinite(single)).any())


def _noted(islands: list[str], lost: list[str]) -> tuple[str, ...]:
    notes = []
    if islands:
        left = f"without that of nodes that cannot be run in FP64: {listed(islands)}"
        notes.append(f"golden's own noise was measured {left}")
    if lost:
        what = f"golden holds NaN or Inf in FP32, and numbers in FP64, in outputs {listed(lost)}"
        notes.append(f"{what}: set golden.precision: fp64")
    return tuple(notes)


def outputs_in(
    model: LoadedModel, precision: Precision, batch: Batch, axes: SampleAxes, workdir: Path, literal: bool = False
) -> tuple[Mapping[str, Array], list[str]]:
    """Outputs that are not drawn, samples along the first axis, and which nodes were not run in that precision."""
    built, details = golden_model(model, precision, workdir, literal)
    with BACKEND.open(built) as session:
        return outputs_of(session, model, batch, axes), details.get("fp32Nodes", [])


def outputs_of(session: Session, model: LoadedModel, batch: Batch, axes: SampleAxes) -> Mapping[str, Array]:
    """Outputs of a session that are not drawn, samples along the first axis."""
    given = session.run(batch.inputs)
    found = {name: axes.samples(name, given[name], batch) for name in steady(model) if name in given}
    return {name: np.array(array) for name, array in found.items() if array is not None}
