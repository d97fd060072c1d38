"""The golden run: what the original model computes, in FP32 as ONNX Runtime runs it, or in FP64.

ONNX Runtime lacks kernels in double precision for several operators, convolution among them. Those are rewritten
exactly or run in FP32 between casts; which, the notes and details say.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from tempfile import mkdtemp
from typing import Any, Literal

import onnxruntime as ort

from assay_runner.backends.axis_probes import probed_axes
from assay_runner.backends.backend import Built
from assay_runner.backends.emulation import fp32_model, fp64_model, listed
from assay_runner.backends.onnxruntime import OnnxRuntime
from assay_runner.errors import InvalidInput
from assay_runner.graphs.documents import load_outline
from assay_runner.graphs.sample_axes import SampleAxes, declared_axes
from assay_runner.graphs.taps import sites
from assay_runner.models import LoadedModel
from assay_runner.tensors import Array, Batch, Batches, Progress, names

Precision = Literal["fp32", "fp64"]
BACKEND = OnnxRuntime()
LOOKED_AT = 4
"""Batches among which one of several samples is looked for."""


class Golden:
    """A golden run about to happen: iterate it once, then read its notes.

    Attributes:
        notes: what a reader must know; complete when the iteration has ended.
        details: how it was made, for `Report.golden`.
    """

    def __init__(self, built: Built, dataset: Batches, progress: Progress, details: dict[str, Any]) -> None:
        """See `golden_outputs`."""
        self.notes: list[str] = list(built.notes)
        self.details = details
        self._built, self._dataset, self._progress = built, dataset, progress

    def __iter__(self) -> Iterator[tuple[Batch, dict[str, Array]]]:
        """Each batch and its outputs: samples along the first axis, rows of padding cut off.

        An output that the samples of a batch share is a single row; one of which it is not known what belongs to which
        sample is left out.
        """
        left_out: set[str] = set()
        axes = self._built.axes
        self._progress.stage("golden", self._dataset.samples, "samples")
        with BACKEND.open(self._built) as session:
            for batch in self._dataset:
                outputs = session.run(batch.inputs)
                found = {name: axes.samples(name, array, batch) for name, array in outputs.items()}
                kept = {name: array for name, array in found.items() if array is not None}
                left_out |= outputs.keys() - kept.keys()
                yield batch, kept
                self._progress.advance(batch.count)
        if left_out:
            self.notes.append(f"outputs without a sample axis that is known, not compared: {listed(sorted(left_out))}")


def golden_outputs(
    model: LoadedModel, dataset: Batches, precision: Precision, workdir: Path, progress: Progress
) -> Golden:
    """The golden run of a model on a dataset; outputs are float64 in fp64.

    Args:
        model: the audit's model.
        dataset: its inputs.
        precision: of the run.
        workdir: where a converted model may be kept.
        progress: told how far it is.

    Raises:
        InvalidInput: ONNX Runtime cannot run the model.
        Unavailable: memory ran out.
    """
    built, details = golden_model(model, precision, workdir)
    built = replace(built, measured=sample_axes(model, dataset, workdir))
    return Golden(built, dataset, progress, details)


def sample_axes(model: LoadedModel, dataset: Batches, workdir: Path, inner: Collection[str] = ()) -> SampleAxes:
    """Where the samples of a model's tensors are: as it declares, and where it does not, as a golden run shows.

    Args:
        model: the audit's model.
        dataset: its inputs; two or three samples are run, or one batch where the model takes no other.
        workdir: where a converted model may be kept.
        inner: tensors that are asked for beside the outputs.

    Raises:
        Unavailable: memory ran out.
    """
    known = declared_axes(model.path)
    asked = {*names(model.outputs), *inner} - known.axes.keys()
    unknown = asked & {site.tensor for site in sites(load_outline(model.path))} if asked else asked
    several = (batch for batch in islice(dataset, LOOKED_AT) if batch.fed > 1)
    batch = next(several, None) if unknown else None
    if batch is None:
        return known
    try:
        built, _ = golden_model(model, "fp32", workdir)
        with BACKEND.open_tapped(built, unknown) as session:
            return SampleAxes({**known.axes, **probed_axes(session, batch, unknown, model.batch is None)})
    except InvalidInput:
        return known  # Whoever runs it for its outputs says why it cannot be run.


def golden_model(model: LoadedModel, precision: Precision, workdir: Path) -> tuple[Built, dict[str, Any]]:
    """The model that a golden run runs, and how it was made.

    Raises:
        InvalidInput: ONNX Runtime refuses the model.
    """
    workdir.mkdir(parents=True, exist_ok=True)
    folder = Path(mkdtemp(prefix="golden-", dir=workdir))
    details: dict[str, Any] = {"precision": precision, "backend": f"onnxruntime {ort.__version__}"}
    notes: list[str] = []
    if precision == "fp32":
        path = fp32_model(model.path, folder)
    else:
        path, made = fp64_model(model.path, folder)
        islands = [f"{site.node} ({site.op})" for site in made.islands]
        details |= {"fp32Nodes": islands, "rewrittenNodes": len(made.rewritten)}
        if islands:
            notes.append(f"fp64: ONNX Runtime computes these nodes in their own precision only: {listed(islands)}")
    built = Built(BACKEND.name, precision, path, model.path, folder, emulated=False, notes=tuple(notes))
    return built, details
