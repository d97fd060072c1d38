"""What every task is given beside its own description: a store, a scratch folder, somebody to tell how far it is."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from assay_api.audit import Dataset as SpecDataset
from assay_api.audit import ModelRef
from assay_api.plan import Task
from assay_runner.data.datasets import Dataset, Source, open_dataset
from assay_runner.models.feeding import Feeding, feeding_of
from assay_runner.models.loading import LoadedModel, load_model
from assay_runner.moments import stamp

if TYPE_CHECKING:
    from assay_api.entries import FloorEntry
    from assay_runner.golden.axes import GoldenAxes
    from assay_runner.golden.reference import Reference
    from assay_runner.progress.tracker import Tracker
    from assay_runner.stores import Store
    from assay_runner.tensors import Arrays

WORK: Final = "work"
"""Folder below the scratch folder with one folder per task."""
Precision = Literal["fp32", "fp64"]


def _utc() -> datetime:
    return datetime.now(timezone.utc)


@dataclass(frozen=True)
class Context:
    """The world of one task.

    Attributes:
        store: where everything lies.
        scratch: folder for this process, emptied by whoever made it.
        progress: told how far the work is.
        backend: takes the place of every candidate's backend, or None.
        strict: what only an engine can answer is Inconclusive where another backend stands in for it; else it is left.
        resume: take what this very task has already stored instead of doing it again.
        reproduce: command that runs the same audit again.
        keep: bytes of golden's tensors kept on the scratch disk, for candidates to come in this process.
        reports: SHA-256 that the report of a candidate has, by the candidate's key, where that is known.
        images: keys of the tasks that ran an image, by its reference with its digest, in a cluster.
        now: the time in UTC.
    """

    store: Store
    scratch: Path
    progress: Tracker
    backend: str | None = None
    strict: bool = False
    resume: bool = True
    reproduce: str = ""
    keep: int = 0
    reports: Mapping[str, str] = field(default_factory=dict)
    images: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    now: Callable[[], datetime] = _utc
    _models: dict[tuple[ModelRef, Feeding], LoadedModel] = field(default_factory=dict, repr=False)
    _datasets: dict[tuple[Source, str], Dataset] = field(default_factory=dict, repr=False)
    _axes: dict[tuple[str, str], GoldenAxes] = field(default_factory=dict, repr=False)
    _references: dict[tuple[str, ...], Reference] = field(default_factory=dict, repr=False)

    def load(self, ref: ModelRef, fed: SpecDataset) -> LoadedModel:
        """A checked model, to be fed as the spec of a dataset says; fetched once per process."""
        key = (ref, feeding_of(fed))
        if key not in self._models:
            self.progress.stage("fetch", unit="models")
            model = load_model(self.store, ref, self.scratch, key[1])
            if key[1].constants:
                # ONNX takes a while to import; what has no such input needs none of it here.
                from assay_runner.graphs.held_inputs import with_held_inputs

                model = with_held_inputs(model)
            self._models[key] = model
            self.progress.advance()
        return self._models[key]

    def open(self, source: Source, model: LoadedModel) -> Dataset:
        """A dataset whose shards fit a model; looked at, and checked for NaN, once per process."""
        key = (source, model.identity + model.feeding.meaning)
        if key not in self._datasets:
            self._datasets[key] = open_dataset(self.store, source, model, self.scratch)
        return self._datasets[key]

    def axes(self, model: LoadedModel, dataset: Dataset) -> GoldenAxes:
        """Where the samples of a model's tensors are; found out once per process."""
        from assay_runner.golden.axes import GoldenAxes

        key = (model.identity, dataset.identity)
        if key not in self._axes:
            self._axes[key] = GoldenAxes(model, dataset, self.scratch / "axes" / str(len(self._axes)))
        return self._axes[key]

    def reference(
        self,
        model: LoadedModel,
        dataset: Dataset,
        golden: Iterable[Arrays],
        uri: str,
        precision: Precision,
        floors: tuple[FloorEntry, ...] = (),
        computed: bool = False,
    ) -> Reference:
        """What candidates are held against; one for all that this process audits with the same golden outputs.

        `computed`: whether those are the model's own, see `Reference`.
        """
        from assay_runner.golden.reference import Reference

        key = (model.identity, dataset.identity, uri, precision)
        if key not in self._references:
            folder = self.scratch / "golden" / str(len(self._references))
            axes = self.axes(model, dataset)
            self._references[key] = Reference(
                model, dataset, golden, precision, folder, keep=self.keep, axes=axes, floors=floors, computed=computed
            )
        # How the outputs were taken is told to whoever reads them now.
        self._references[key].outputs = golden
        return self._references[key]

    def workdir(self, task: Task) -> Path:
        """An empty-to-begin-with folder of the task's own."""
        folder = self.scratch / WORK / task.digest
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def created(self) -> str:
        """The time for a report."""
        return stamp(self.now())
