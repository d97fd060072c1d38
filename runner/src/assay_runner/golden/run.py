"""The golden run: what the original model computes on a dataset, its samples told apart."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import numpy as np

from assay_runner.backends.backend import Session
from assay_runner.backends.conversion import listed
from assay_runner.golden.axes import GoldenAxes, Run
from assay_runner.golden.model import BACKEND, Precision, golden_model
from assay_runner.golden.own import Judged, judged
from assay_runner.graphs.sample_axes import SampleAxes
from assay_runner.models.loading import LoadedModel
from assay_runner.tensors import Array, Batch, Batches, Progress


class Golden:
    """A golden run about to happen: iterate it once, then read its notes.

    Attributes:
        notes: what a reader must know; complete when the iteration has ended.
        details: how it was made, for `Report.golden`; complete then too.
        judged: what a run without optimisations told; complete then too.
    """

    def __init__(
        self,
        model: LoadedModel,
        dataset: Batches,
        precision: Precision,
        workdir: Path,
        progress: Progress,
        axes: GoldenAxes,
    ) -> None:
        """See `golden_outputs`."""
        built, self.details = golden_model(model, precision, workdir)
        self.notes: list[str] = list(built.notes)
        self.judged = Judged()
        self._model, self._precision, self._workdir = model, precision, workdir
        self._built, self._dataset, self._progress, self._axes = built, dataset, progress, axes

    def __iter__(self) -> Iterator[tuple[Batch, dict[str, Array]]]:
        """Each batch and its outputs: samples along the first axis, rows of padding cut off.

        An output that the samples of a batch share is a single row; one of which it is not known what belongs to which
        sample is left out.
        """
        left_out: set[str] = set()
        axes: SampleAxes | None = None
        self._progress.stage("golden", self._dataset.samples, "samples")
        with ExitStack() as stack:
            session = stack.enter_context(BACKEND.open(self._built))
            for batch in self._dataset:
                outputs = session.run(batch.inputs)
                if axes is None:
                    axes = self._axes.outputs_by(Run(session, batch, outputs))
                    self.notes += self._axes.notes
                    if self._literal(session, batch, axes):
                        del outputs, session
                        stack.close()
                        session = stack.enter_context(BACKEND.open(self._built))
                        outputs = session.run(batch.inputs)
                found = {name: axes.samples(name, array, batch) for name, array in outputs.items()}
                kept = {name: array for name, array in found.items() if array is not None}
                left_out |= outputs.keys() - kept.keys()
                yield batch, kept
                self._progress.advance(batch.count)
        if left_out:
            self.notes.append(f"outputs without a sample axis that is known, not compared: {listed(sorted(left_out))}")

    def _literal(self, session: Session, batch: Batch, axes: SampleAxes) -> bool:
        """Whether the run must do without ONNX Runtime's optimisations; then the next session does."""
        self.judged = judged(session, self._model, self._precision, batch, axes, self._workdir / "own")
        self.notes += self.judged.notes
        if self.judged.literal:
            self._built = replace(self._built, literal=True)
            self.details["provenance"]["optimised"] = False
        return self.judged.literal


def golden_outputs(
    model: LoadedModel,
    dataset: Batches,
    precision: Precision,
    workdir: Path,
    progress: Progress,
    axes: GoldenAxes | None = None,
) -> Golden:
    """The golden run of a model on a dataset; outputs are float64 in fp64.

    Args:
        model: the audit's model.
        dataset: its inputs.
        precision: of the run.
        workdir: where a converted model may be kept.
        progress: told how far it is.
        axes: where its samples are; None: that is found out.

    Raises:
        InvalidInput: ONNX Runtime cannot run the model.
        Unavailable: memory ran out.
    """
    return Golden(model, dataset, precision, workdir, progress, axes or GoldenAxes(model, dataset, workdir))


def constant_outputs(model: LoadedModel, dataset: Batches, outputs: Collection[str], workdir: Path) -> dict[str, Array]:
    """Outputs that the data do not decide, as the model itself gives them for the first batch.

    Raises:
        InvalidInput: ONNX Runtime cannot run the model.
        Unavailable: memory ran out.
    """
    built, _ = golden_model(model, "fp32", workdir)
    with BACKEND.open(built) as session:
        found = session.run(next(iter(dataset)).inputs)
        return {name: np.array(array) for name, array in found.items() if name in outputs}
