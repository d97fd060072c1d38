"""Datasets: samples that stream from shards, or feeds, checked as they are read.

Opening reads headers only: names, types, shapes and counts of every shard are known, or refused, before anything runs.
Values are checked in the first pass. Memory holds a batch, never a shard.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from assay_api.report import DatasetEntry
from assay_runner.data.batches import along, padded, repeated, stacked, typed
from assay_runner.data.dimension_names import contradicted
from assay_runner.data.finding import Part, find
from assay_runner.data.readers.reader import Wanted
from assay_runner.data.rules import NotFinite, check_numbers, checked_labels, wanted
from assay_runner.data.seals import Seal, brief, digest_of, prints, seal_of
from assay_runner.data.shards import KEEP_BYTES, ShardFiles
from assay_runner.data.streams import Shard, batch_bytes, batch_counts, open_stream
from assay_runner.errors import InvalidInput
from assay_runner.models.feeding import Feeding, constant_values
from assay_runner.models.missing_values import may_be_missing
from assay_runner.models.room import check_batch
from assay_runner.tensors import Array, Batch, Extents, InputAxes, TensorSpec, names

if TYPE_CHECKING:
    from assay_runner.models.loading import LoadedModel
    from assay_runner.stores import Store


@dataclass(frozen=True)
class Source:
    """What is read, and how.

    Attributes:
        uri: a file, or a prefix of files.
        batch: samples per batch; a model's fixed batch takes its place, and feeds are run one by one.
        labels: name of the array of labels, or None.
        samples: use only the first so many, or None for all.
        targets: names of the arrays that metrics are given beside labels.
        what: what to call it in a sentence.
    """

    uri: str
    batch: int = 32
    labels: str | None = None
    samples: int | None = None
    what: str = "dataset"
    targets: tuple[str, ...] = ()


@dataclass(frozen=True)
class Dataset:
    """Samples of one source, as `Batches`; iterate it as often as needed.

    Attributes:
        source: what it was opened from.
        shards: the shards that are read.
        inputs: what is fed.
        batch: samples per batch.
        fixed: whether the model takes no other batch, so that the last one is padded.
        ignored: arrays that match no input and are neither labels nor targets.
        identity: digest of the shards' names, sizes and contents (in a store: versions), of the limit, of the batch and
            of how they are fed.
        axes: where the samples of the inputs are.
        feeding: what the spec says of that.
        parts: what the shards are read from, one each; by their keys, feeds and golden outputs belong together.
        prints: digests of name, size and content of each part.
        constants: inputs that are in no shard; of those that have samples, what one has.
    """

    source: Source
    shards: tuple[Shard, ...]
    inputs: tuple[TensorSpec, ...]
    batch: int
    fixed: bool
    ignored: tuple[str, ...]
    identity: str
    axes: InputAxes
    feeding: Feeding
    parts: tuple[Part, ...]
    prints: tuple[str, ...]
    constants: Mapping[str, Array] = field(repr=False)
    _files: ShardFiles = field(repr=False)
    _clean: set[int] = field(default_factory=set, repr=False)
    _missing: Callable[[], frozenset[str]] = field(default=frozenset, repr=False)
    _not_finite: dict[tuple[str, int, int], NotFinite] = field(default_factory=dict, repr=False)

    @property
    def samples(self) -> int:
        """Number of samples."""
        return sum(s.rows for s in self.shards)

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader of the report must know."""
        notes = []
        if unknown := [name for name in self.ignored if name not in self.constants]:
            notes.append(f"arrays ignored, for they match no input of the model: {', '.join(unknown)}")
        if unread := [name for name in self.ignored if name in self.constants]:
            notes.append(f"arrays ignored, for dataset.inputs makes them constant: {', '.join(unread)}")
        if self.source.samples and self.source.samples > self.samples:
            notes.append(f"{self.source.samples} samples were asked for, the {self.source.what} holds {self.samples}")
        if self.fixed and self.source.batch != self.batch:
            notes.append(f"the model's batch is fixed at {self.batch}: fed in that instead of {self.source.batch}")
        for name, found in self._numbers().items():
            held = (("infinities", found.infinite, ""), ("NaN", found.missing, ", for the model asks for it"))
            notes += [
                f"array {name!r} of the {self.source.what} holds {kind} in {count} of {self.samples} samples: fed as "
                f"they are{why}"
                for kind, count, why in held
                if count
            ]
        return tuple(notes)

    def _numbers(self) -> dict[str, NotFinite]:
        """Samples with values that are not finite by input, as far as the dataset has been read."""
        counts: dict[str, NotFinite] = {}
        for (name, *_), (infinite, missing) in self._not_finite.items():
            before = counts.get(name, NotFinite())
            counts[name] = NotFinite(before.infinite + infinite, before.missing + missing)
        return counts

    def extents(self) -> dict[str, Extents]:
        """Shapes in which each input is fed: single samples too, whole batches mostly."""
        found = {}
        one, whole = (self.batch, self.batch) if self.fixed else (1, min(self.counts()))
        constant = {name: array.shape for name, array in self.constants.items()}
        fed = [constant | {name: header.row for name, header in s.headers.items()} for s in self.shards if s.rows]
        wrong = contradicted(self.inputs, fed, self.axes)
        for spec in self.inputs:
            rows = self._rows_of(spec.name)
            least, most = (tuple(map(f, zip(*rows, strict=True))) for f in (min, max))
            axis = self.axes.get(spec.name, 0)
            shapes = ((one, least), (self.batch, rows[0]), (self.batch, most), (whole, least))
            misnamed = tuple(place for place, name in enumerate(spec.shape) if name in wrong)
            smallest, usual, largest, taken = (stacked(row, count, axis) for count, row in shapes)
            found[spec.name] = Extents(smallest, usual, largest, taken, misnamed)
        return found

    def _rows_of(self, name: str) -> list[tuple[int, ...]]:
        """Shapes of what an input holds of one sample, in the order of the shards."""
        if name in self.constants:
            return [self.constants[name].shape]
        return list(dict.fromkeys(shard.headers[name].row for shard in self.shards if shard.rows))

    def counts(self) -> Iterator[int]:
        """Samples of each batch, padding not counted."""
        return batch_counts(self.shards, self.batch)

    def describe(self) -> DatasetEntry:
        """For the report."""
        return DatasetEntry(
            uri=self.source.uri,
            samples=self.samples,
            shards=sum(bool(shard.rows) for shard in self.shards),
            batch=self.batch,
            labels=self.source.labels,
            ignored=tuple(self.ignored),
            identity=self.identity,
            layout="feeds" if self.feeding.feeds else "samples",
            reader=self.parts[0].reader.name,
        )

    def __iter__(self) -> Iterator[Batch]:
        """Batches in order, each checked.

        Raises:
            InvalidInput: a shard is corrupt, an input holds NaN that the model does not ask for, a label is out of
                range.
        """
        starts = np.cumsum([0, *(s.rows for s in self.shards)])
        stored = [spec for spec in self.inputs if spec.name not in self.constants]

        def inspect(index: int, first: int, rows: Mapping[str, Array]) -> None:
            if index in self._clean:
                return
            shard = self.shards[index]
            for spec in stored:
                in_all = int(starts[index]) + first
                known = typed(rows[spec.name], spec)
                found = check_numbers(spec.name, known, shard.name, first, in_all, self.source.what, self._missing)
                self._not_finite[spec.name, index, first] = found
            if self.source.labels:
                checked_labels(self.source.labels, rows[self.source.labels].reshape(-1), shard.name, first)
            if first + len(next(iter(rows.values()))) == shard.rows:
                self._clean.add(index)

        start = 0
        with open_stream(self._files, self.shards, inspect) as stream:
            for count in self.counts():
                yield self._batch(start, count, stream.take(count))
                start += count

    def _batch(self, start: int, count: int, rows: Mapping[str, Array]) -> Batch:
        inputs = {}
        fed = self.batch if self.fixed else count
        for spec in self.inputs:
            axis = self.axes.get(spec.name, 0)
            if spec.name in self.constants:
                inputs[spec.name] = repeated(self.constants[spec.name], fed, axis)
                continue
            inputs[spec.name] = along(padded(typed(rows[spec.name], spec), fed), axis)
        labels = rows[self.source.labels].reshape(-1).astype(np.int64) if self.source.labels else None
        targets = {name: rows[name] for name in self.source.targets}
        return Batch(start, count, inputs, labels, self.axes, targets)


def open_dataset(store: Store, source: Source, model: LoadedModel, scratch: Path, keep: int = KEEP_BYTES) -> Dataset:
    """Read the headers of a source's shards, as many as the samples asked for need.

    Args:
        store: where the shards lie.
        source: what is read.
        model: whose inputs are fed, and how.
        scratch: folder for shards that must be fetched, or rewritten.
        keep: bytes of such shards together beyond which each goes once it is read.

    Raises:
        InvalidInput: nothing there, no samples, or a shard that does not fit the model.
        Unavailable: the store does not answer.
    """
    constants = constant_values(model.inputs, model.axes, model.feeding)
    stored = [spec for spec in model.inputs if spec.name not in constants]
    shards: list[Shard] = []
    parts: list[Part] = []
    seals: list[Seal | None] = []
    seen: dict[str, None] = {}
    used, most = 0, source.samples or sys.maxsize
    asked = Wanted("inputs", names(model.inputs))
    for part in find(store, source.uri, source.what, asked).parts(store, asked, scratch):
        seals.append(seal_of(store, part, f"the {source.what} {source.uri}"))
        headers = part.headers(store)
        found = wanted(headers, stored, model.axes, source.labels, part.name, source.targets)
        seen.update(dict.fromkeys(n for n in headers if n not in found))
        parts.append(part)
        shards.append(Shard(part.name, min(next(iter(found.values())).samples, most - used), found, part.format))
        used += shards[-1].rows
        if used >= most:
            break
    if not used:
        raise InvalidInput(f"the {source.what} {source.uri} is empty: its shards hold no samples; store some")
    batch = model.batch or source.batch
    fixed = model.batch is not None and not model.feeding.feeds
    fed = batch if fixed else min(batch, used)
    check_batch(batch_bytes(shards, fed), fed, fixed, source.uri)
    told = prints(parts, seals)
    return Dataset(
        source=source,
        shards=tuple(shards),
        inputs=model.inputs,
        batch=batch,
        fixed=fixed,
        ignored=tuple(seen),
        identity=digest_of((*told, *_meaning(source, used, batch, model.feeding, parts))),
        axes=model.axes,
        feeding=model.feeding,
        parts=tuple(parts),
        prints=tuple(map(brief, told)),
        constants=constants,
        _files=shard_files(store, parts, seals, scratch, keep),
        _missing=lambda: may_be_missing(model.path),
    )


def shard_files(
    store: Store, parts: Sequence[Part], seals: Sequence[Seal | None], scratch: Path, keep: int = KEEP_BYTES
) -> ShardFiles:
    """The files of parts, in their order; each is to be what it was when they were opened."""
    placed = tuple(part.path for part in parts)
    return ShardFiles(store, tuple(part.stat for part in parts), scratch, keep, placed, tuple(seals))


def _meaning(source: Source, samples: int, batch: int, feeding: Feeding, parts: Sequence[Part]) -> Iterator[str]:
    """What is made of the shards."""
    yield from (str(samples), str(batch), source.labels or "")
    # Nothing is added where all is as ever, so that what was kept before is found.
    yield from filter(None, [feeding.meaning, parts[0].reader.version, "\0".join(source.targets)])
