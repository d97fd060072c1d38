"""The golden run: what the original model computes on a dataset, its samples told apart."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from assay_runner.backends.backend import Session
from assay_runner.backends.conversion import listed
from assay_runner.errors import InvalidInput
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
        self._ran = 0

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
                outputs = self._run(session, batch)
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

    def _run(self, session: Session, batch: Batch) -> dict[str, Array]:
        """Outputs of a batch.

        Raises:
            InvalidInput: it cannot be run on so many samples; with what to do where it can on another number of them.
        """
        try:
            found = session.run(batch.inputs)
        except InvalidInput as error:
            free = self._model.batch is None and not self._model.feeding.feeds
            way_out = self._other_number(session, batch) if free else ""
            raise InvalidInput(f"{error}{way_out}") from error
        self._ran = batch.fed
        return found

    def _other_number(self, session: Session, batch: Batch) -> str:
        """What to do where a model takes these samples in another number, and does not say so; empty: it does not."""
        if self._ran > batch.fed and _runs(session, batch, np.arange(self._ran) % batch.fed):
            return (
                f"; it ran on batches of {self._ran}, and the last one has {batch.fed}: export it with a batch that is "
                f"fixed, so that the last is filled up, or set dataset.samples to {batch.start}"
            )
        if batch.fed > 1 and all(_runs(session, batch, np.array([place])) for place in range(batch.fed)):
            return (
                "; it says that it takes any number of samples, and runs on one: set dataset.batch to 1, or export it "
                "so that nothing inside fixes the number"
            )
        return ""

    def _literal(self, session: Session, batch: Batch, axes: SampleAxes) -> bool:
        """Whether the run must do without ONNX Runtime's optimisations; then the next session does."""
        self.judged = judged(session, self._model, self._precision, batch, axes, self._workdir / "own")
        self.notes += self.judged.notes
        if self.judged.literal:
            self._built = replace(self._built, literal=True)
            self.details["provenance"]["optimised"] = False
        return self.judged.literal


def _runs(session: Session, batch: Batch, chosen: NDArray[np.int64]) -> bool:
    """Whether some of a batch's samples can be run."""
    try:
        session.run(batch.take(chosen))
    except InvalidInput:
        return False
    return True


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
