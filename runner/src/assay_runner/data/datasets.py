"""Datasets: samples that stream from .npz shards, checked as they are read.

Opening reads headers only: names, types, shapes and counts of every shard are known, or refused, before anything runs.
Values are checked in the first pass. Memory holds a batch, never a shard.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, cast

import numpy as np

from assay_api.report import DatasetEntry
from assay_runner.data.npz import ArrayHeader, read_headers
from assay_runner.data.rules import check_numbers, checked_labels, other_file, wanted
from assay_runner.data.shards import KEEP_BYTES, ShardFiles, peek
from assay_runner.data.streams import Shard, batch_counts, open_stream
from assay_runner.errors import InvalidInput
from assay_runner.stores import Stat, basename
from assay_runner.tensors import Array, Batch, Extents, TensorSpec

if TYPE_CHECKING:
    from assay_runner.models.loading import LoadedModel
    from assay_runner.stores import Store


@dataclass(frozen=True)
class Source:
    """What is read, and how.

    Attributes:
        uri: an .npz file or a prefix of .npz shards.
        batch: samples per batch; a model's fixed batch takes its place.
        labels: name of the array of labels, or None.
        samples: use only the first so many, or None for all.
        what: what to call it in a sentence.
    """

    uri: str
    batch: int = 32
    labels: str | None = None
    samples: int | None = None
    what: str = "dataset"


@dataclass(frozen=True)
class Dataset:
    """Samples of one source, as `Batches`; iterate it as often as needed.

    Attributes:
        source: what it was opened from.
        shards: the shards that are read.
        names: names of the inputs.
        batch: samples per batch.
        fixed: whether the model takes no other batch, so that the last one is padded.
        ignored: arrays that match no input and are not the labels.
        identity: digest of the shards' names, sizes and versions, of the limit and of the batch.
    """

    source: Source
    shards: tuple[Shard, ...]
    inputs: tuple[TensorSpec, ...]
    batch: int
    fixed: bool
    ignored: tuple[str, ...]
    identity: str
    _files: ShardFiles = field(repr=False)
    _clean: set[int] = field(default_factory=set, repr=False)
    _infinite: dict[tuple[str, int, int], int] = field(default_factory=dict, repr=False)

    @property
    def samples(self) -> int:
        """Number of samples."""
        return sum(s.rows for s in self.shards)

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader of the report must know."""
        notes = []
        if self.ignored:
            notes.append(f"arrays ignored, for they match no input of the model: {', '.join(self.ignored)}")
        if self.source.samples and self.source.samples > self.samples:
            notes.append(f"{self.source.samples} samples were asked for, the {self.source.what} holds {self.samples}")
        if self.fixed and self.source.batch != self.batch:
            notes.append(f"the model's batch is fixed at {self.batch}: fed in that instead of {self.source.batch}")
        notes += [
            f"array {name!r} of the {self.source.what} holds infinities in {count} of {self.samples} samples: "
            "fed as they are"
            for name, count in self._infinities().items()
        ]
        return tuple(notes)

    def _infinities(self) -> dict[str, int]:
        """Samples with an infinity by input, as far as the dataset has been read."""
        counts: dict[str, int] = {}
        for (name, *_), count in self._infinite.items():
            counts[name] = counts.get(name, 0) + count
        return {name: count for name, count in counts.items() if count}

    def extents(self) -> dict[str, Extents]:
        """Shapes in which each input is fed: single samples too, whole batches mostly."""
        found = {}
        for spec in self.inputs:
            rows = {shard.headers[spec.name].shape[1:] for shard in self.shards if shard.rows}
            least, most = (tuple(map(f, zip(*rows, strict=True))) for f in (min, max))
            usual = next(shard.headers[spec.name].shape[1:] for shard in self.shards if shard.rows)
            one, whole = (self.batch, self.batch) if self.fixed else (1, min(self.counts()))
            found[spec.name] = Extents((one, *least), (self.batch, *usual), (self.batch, *most), (whole, *least))
        return found

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
        )

    def __iter__(self) -> Iterator[Batch]:
        """Batches in order, each checked.

        Raises:
            InvalidInput: a shard is corrupt, an input holds NaN, a label is out of range.
        """
        starts = np.cumsum([0, *(s.rows for s in self.shards)])

        def inspect(index: int, first: int, rows: Mapping[str, Array]) -> None:
            if index in self._clean:
                return
            shard = self.shards[index]
            for spec in self.inputs:
                in_all = int(starts[index]) + first
                typed = _typed(rows[spec.name], spec)
                infinite = check_numbers(spec.name, typed, shard.name, first, in_all, self.source.what)
                self._infinite[spec.name, index, first] = infinite
            if self.source.labels:
                checked_labels(self.source.labels, rows[self.source.labels], shard.name, first)
            if first + len(next(iter(rows.values()))) == shard.rows:
                self._clean.add(index)

        start = 0
        with open_stream(self._files, self.shards, inspect) as stream:
            for count in self.counts():
                yield self._batch(start, count, stream.take(count))
                start += count

    def _batch(self, start: int, count: int, rows: Mapping[str, Array]) -> Batch:
        inputs = {}
        for spec in self.inputs:
            typed = _typed(rows[spec.name], spec)
            inputs[spec.name] = _padded(typed, self.batch) if self.fixed else typed
        labels = rows[self.source.labels].astype(np.int64) if self.source.labels else None
        return Batch(start, count, inputs, labels)


def _typed(array: Array, spec: TensorSpec) -> Array:
    return array if array.dtype == spec.dtype else array.view(spec.dtype)


def _padded(array: Array, batch: int) -> Array:
    missing = batch - len(array)
    return array if missing == 0 else np.concatenate([array, np.repeat(array[-1:], missing, axis=0)])


def open_dataset(store: Store, source: Source, model: LoadedModel, scratch: Path, keep: int = KEEP_BYTES) -> Dataset:
    """Read the headers of a source's shards, as many as the samples asked for need.

    Args:
        store: where the shards lie.
        source: what is read.
        model: whose inputs are fed.
        scratch: folder for shards that must be fetched.
        keep: bytes of such shards together beyond which each goes once it is read.

    Raises:
        InvalidInput: nothing there, no samples, or a shard that does not fit the model.
        Unavailable: the store does not answer.
    """
    stats = find_shards(store, source.uri, source.what)
    shards: list[Shard] = []
    seen: dict[str, None] = {}
    used = 0
    for stat in stats:
        if used >= (source.samples or sys.maxsize):
            break
        name = basename(stat.uri)
        headers = headers_of(store, stat)
        found = wanted(headers, model.inputs, source.labels, name)
        seen.update(dict.fromkeys(n for n in headers if n not in found))
        rows = min(next(iter(found.values())).shape[0], (source.samples or sys.maxsize) - used)
        shards.append(Shard(name, rows, found))
        used += rows
    if not used:
        raise InvalidInput(f"the {source.what} {source.uri} is empty: its shards hold no samples; store some")
    read, batch = stats[: len(shards)], model.batch or source.batch
    return Dataset(
        source=source,
        shards=tuple(shards),
        inputs=model.inputs,
        batch=batch,
        fixed=model.batch is not None,
        ignored=tuple(seen),
        identity=_identity(read, source, used, batch),
        _files=ShardFiles(store, read, scratch, keep),
    )


def find_shards(store: Store, uri: str, what: str) -> tuple[Stat, ...]:
    """The .npz file at a URI, or the shards below it in name order.

    Raises:
        InvalidInput: there are none.
    """
    if not uri.endswith("/") and uri.endswith(".npz"):
        one = store.stat(uri)
        if one is not None:
            return (one,)
    objects = tuple(store.list(uri if uri.endswith("/") else f"{uri}/"))
    shards = tuple(s for s in objects if s.uri.endswith(".npz"))
    if shards:
        return shards
    if objects:
        raise InvalidInput(
            f"the {what} {uri} holds {len(objects)} objects but no .npz file "
            f"(the first is {basename(objects[0].uri)}): store it as .npz shards"
        )
    if not uri.endswith(("/", ".npz")) and store.stat(uri) is not None:
        raise InvalidInput(f"the {what} {uri} {other_file(basename(uri))}")
    kind = "it does not exist" if uri.endswith(".npz") else "nothing lies below it"
    raise InvalidInput(f"the {what} {uri} is missing or empty: {kind}; correct the URI or store .npz shards there")


def headers_of(store: Store, stat: Stat) -> dict[str, ArrayHeader]:
    """Headers of a shard's arrays, without fetching all of it."""
    with peek(store, stat) as file:
        return read_headers(cast(IO[bytes], file), basename(stat.uri))


def _identity(stats: tuple[Stat, ...], source: Source, samples: int, batch: int) -> str:
    parts = [f"{basename(s.uri)}\0{s.size}\0{s.version}" for s in stats]
    return hashlib.sha256("\n".join([*parts, str(samples), str(batch), source.labels or ""]).encode()).hexdigest()
