"""Golden outputs of the cache, taken where they are what was stored there, and made again where they are not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Literal

from assay_runner.data.datasets import Dataset
from assay_runner.golden.cache import (
    INDEX,
    SHARD_BYTES,
    WHAT,
    CachedOutputs,
    GoldenIndex,
    GoldenWriter,
    open_cached,
    read_index,
)
from assay_runner.models.loading import LoadedModel
from assay_runner.models.witness import unchanged
from assay_runner.stores import join
from assay_runner.stores.sealed import Damaged, put_record
from assay_runner.tasks.context import Context
from assay_runner.tensors import Array

Precision = Literal["fp32", "fp64"]


@dataclass(frozen=True)
class GoldenEntry:
    """The golden outputs of a model on a dataset; as an iterable, one mapping per batch, as often as needed.

    Attributes:
        folder: where the cache keeps them.
        model: what computes them.
        dataset: of what.
        precision: in which precision.
        context: the world of the task.
        workdir: where they may be made.
        notes: what a reader of the report must know of how they were taken; grows.
        shard_bytes: of outputs, after which a shard is closed.
    """

    folder: str
    model: LoadedModel
    dataset: Dataset
    precision: Precision
    context: Context
    workdir: Path
    notes: list[str] = field(default_factory=list)
    shard_bytes: int = SHARD_BYTES

    def taken_or_made(self) -> GoldenIndex:
        """The index of the outputs in the cache, all of them verified; what is not there, or damaged, is made.

        Raises:
            InvalidInput: the model cannot be run.
            Unavailable: the store does not answer, memory or disk is short.
        """
        try:
            index = read_index(self.context.store, self.folder)
            if index is None:
                return self._made()
            self._opened(index).verify()
        except Damaged as error:
            return self._made_again(error)
        self.context.progress.note("golden outputs taken from the cache")
        return index

    def amended(self, index: GoldenIndex) -> GoldenIndex:
        """Store an index in which more is known of the same outputs."""
        put_record(self.context.store, join(self.folder, INDEX), index)
        return index

    def __iter__(self) -> Iterator[Mapping[str, Array]]:
        """Outputs of each batch; from the first shard on that is damaged, of a golden run that is made now.

        Raises:
            Unavailable: the store does not answer, memory or disk is short.
        """
        given = 0
        try:
            index = read_index(self.context.store, self.folder)
            if index is None:
                raise Damaged(WHAT, "its record is missing", self.folder)
            for outputs in self._opened(index):
                yield outputs
                given += 1
        except Damaged as error:
            progress, before = self.context.progress, self.context.progress.now
            index = self._made_again(error)
            progress.stage(before.stage, before.total, before.unit)
            progress.advance(before.done)
            yield from islice(self._opened(index), given, None)

    def _opened(self, index: GoldenIndex) -> CachedOutputs:
        return open_cached(self.context.store, self.folder, index, self.context.scratch)

    def _made_again(self, error: Damaged) -> GoldenIndex:
        index = self._made()
        self.context.progress.note(error.note)
        self.notes.append(error.note)
        return index

    def _made(self) -> GoldenIndex:
        from assay_runner.golden.run import golden_outputs

        axes = self.context.axes(self.model, self.dataset)
        golden = golden_outputs(self.model, self.dataset, self.precision, self.workdir, self.context.progress, axes)
        writer = GoldenWriter(self.context.store, self.folder, self.workdir, self.shard_bytes)
        for batch, outputs in golden:
            writer.add(batch.count, outputs)
        unchanged(self.model.files)
        told = golden.judged
        return writer.finish(tuple(golden.notes), dict(golden.details), axes.kept, told.floors, told.doubled)
