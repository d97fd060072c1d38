"""Golden outputs kept in the artifact store, so that they are computed once for all candidates and runs.

They lie in shards of bounded size, each an .npz with the arrays of whole batches. Batches in a row whose outputs are
small and of one shape lie one behind the other in one array, named `batch.output` by the first of them: a batch of a
small model is a few hundred bytes, and a member of its own takes longer to write and to read than the model to run. The
index is written last and says that everything before it is there. Where they lie is a digest of all they depend on.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final

from assay_api.entries import FloorEntry
from assay_runner.data.shards import ShardFiles, ShardSession
from assay_runner.errors import InvalidInput
from assay_runner.golden.kept_axes import KeptAxes
from assay_runner.golden.members import Waiting, members, write_member
from assay_runner.stores import join
from assay_runner.stores.files import disk_error
from assay_runner.stores.sealed import (
    Damaged,
    EntryRecord,
    StoredFile,
    put_file,
    put_record,
    read_record,
    reading,
    stat_file,
    verified,
)
from assay_runner.tensors import Array

if TYPE_CHECKING:
    from assay_runner.data.datasets import Dataset
    from assay_runner.stores import Store

SHARD_BYTES: Final = 64 << 20
INDEX: Final = "index.json"
WHAT: Final = "golden run"


class GoldenIndex(EntryRecord):
    """What a folder of golden outputs holds; its files are the shards."""

    format: int = 3
    """Version of this layout."""
    samples: int
    """Samples in all."""
    outputs: tuple[str, ...]
    """Names of the outputs."""
    dtypes: tuple[str, ...]
    """NumPy's names of their element types."""
    partial: tuple[str, ...] = ()
    """Outputs that some batch lacks, so that none is read."""
    shards: tuple[int, ...]
    """Batches in each shard."""
    notes: tuple[str, ...] = ()
    """What the golden run has to tell the reader of the report."""
    details: dict[str, Any] = {}
    """How the golden run was made."""
    axes: KeptAxes = KeptAxes()
    """Where the samples of its outputs are, and how far apart some were that it ran twice."""
    unoptimised: tuple[FloorEntry, ...] = ()
    """How far outputs of a few samples were from those with ONNX Runtime's optimisations off."""
    doubled: tuple[FloorEntry, ...] | None = None
    """How far outputs of a few samples were from those in FP64; absent where nobody asked."""


def read_index(store: Store, folder: str) -> GoldenIndex | None:
    """The index of a folder, or None where none was finished or this version cannot read it.

    Raises:
        Damaged: it is not as it was stored.
    """
    return read_record(store, join(folder, INDEX), GoldenIndex, WHAT)


class GoldenWriter:
    """Writes golden outputs batch by batch; at most one shard lies on disk."""

    def __init__(self, store: Store, folder: str, scratch: Path, shard_bytes: int = SHARD_BYTES) -> None:
        """Write below the URI `folder`, by way of the directory `scratch`; a shard is closed after `shard_bytes`."""
        self._store = store
        self._folder = folder
        self._scratch, self._shard_bytes = scratch, shard_bytes
        self._archive: zipfile.ZipFile | None = None
        self._waiting = Waiting()
        self._batches = 0
        self._bytes = 0
        self._shards: list[int] = []
        self._files: list[StoredFile] = []
        self._samples = 0
        self._outputs: dict[str, str] = {}
        self._partial: set[str] = set()

    @property
    def _path(self) -> Path:
        return self._scratch / f"part-{len(self._shards):05d}.npz"

    def add(self, count: int, outputs: Mapping[str, Array]) -> None:
        """The outputs of the next batch of `count` samples."""
        if not self._outputs:
            self._outputs = {name: array.dtype.name for name, array in outputs.items()}
        self._partial |= self._outputs.keys() - outputs.keys()
        kept = {at: outputs[name] for at, name in enumerate(self._outputs) if name not in self._partial}
        if not self._waiting.takes(kept):
            self._write()
        self._waiting.add(kept)
        self._samples += count
        self._batches += 1
        self._bytes += sum(a.nbytes for a in outputs.values())
        if self._waiting.full:
            self._write()
        if self._bytes >= self._shard_bytes:
            self._flush()

    def _write(self) -> None:
        """Write the batches that wait."""
        if not self._waiting.batches:
            return
        first = self._batches - self._waiting.batches
        try:
            if self._archive is None:
                self._path.parent.mkdir(parents=True, exist_ok=True)
                self._archive = zipfile.ZipFile(self._path, "w", zipfile.ZIP_STORED)
            for at, array in self._waiting.take().items():
                # No time of writing: equal outputs make equal files, so that one made again replaces the old.
                with self._archive.open(zipfile.ZipInfo(f"{first}.{at}.npy"), "w", force_zip64=True) as member:
                    write_member(member, array)
        except OSError as error:
            raise disk_error(error, self._path) from error

    def _flush(self) -> None:
        self._write()
        if self._archive is None:
            return
        try:
            self._archive.close()
        except OSError as error:
            raise disk_error(error, self._path) from error
        self._files.append(put_file(self._store, self._folder, self._path))
        self._path.unlink()
        self._shards.append(self._batches)
        self._archive, self._batches, self._bytes = None, 0, 0

    def finish(
        self,
        notes: tuple[str, ...],
        details: dict[str, Any],
        axes: KeptAxes | None = None,
        unoptimised: tuple[FloorEntry, ...] = (),
        doubled: tuple[FloorEntry, ...] | None = None,
    ) -> GoldenIndex:
        """Store what is left, then the index."""
        self._flush()
        index = GoldenIndex(
            files=tuple(self._files),
            samples=self._samples,
            outputs=tuple(self._outputs),
            dtypes=tuple(self._outputs.values()),
            partial=tuple(name for name in self._outputs if name in self._partial),
            shards=tuple(self._shards),
            notes=notes,
            details=details,
            axes=axes or KeptAxes(),
            unoptimised=unoptimised,
            doubled=doubled,
        )
        put_record(self._store, join(self._folder, INDEX), index)
        return index


@dataclass(frozen=True)
class CachedOutputs:
    """Golden outputs of the cache, one mapping per batch; iterate them as often as needed.

    Each shard is verified, as often as it is opened, before any of its rows is given out.
    """

    folder: str
    index: GoldenIndex
    files: ShardFiles

    def __iter__(self) -> Iterator[Mapping[str, Array]]:
        """Outputs of each batch, in the dataset's order.

        Raises:
            Damaged: a shard is gone, or not what was stored.
        """
        index = self.index
        outputs = [
            (at, name, dtype)
            for at, (name, dtype) in enumerate(zip(index.outputs, index.dtypes, strict=True))
            if name not in index.partial
        ]
        with self.files.session() as session:
            for number, batches in enumerate(index.shards):
                with self._opened(session, number) as file, zipfile.ZipFile(file) as archive:
                    read, batch = members(file, archive), 0
                    while batch < batches:
                        found = {name: _typed(read(f"{batch}.{at}.npy"), dtype) for at, name, dtype in outputs}
                        # Of a model without outputs that can be kept, each batch has none.
                        together = min(map(len, found.values()), default=1)
                        for row in range(together):
                            yield {name: stack[row] for name, stack in found.items()}
                        batch += together

    def verify(self) -> None:
        """Do nothing where every shard is what was stored.

        Raises:
            Damaged: a shard is gone, or not what was stored.
        """
        with self.files.session() as session:
            for number in range(len(self.index.files)):
                with self._opened(session, number):
                    pass

    @contextmanager
    def _opened(self, session: ShardSession, number: int) -> Iterator[BinaryIO]:
        file = self.index.files[number]
        uri = join(self.folder, file.stored_name)
        with reading(uri, file, WHAT), session.shard(number, len(self.index.files) - 1) as path:
            try:
                content = verified(path, uri, file, WHAT)
            except Damaged:
                if self.files.local(number) is None:
                    path.unlink()  # Else it would be taken for what is stored in its place.
                raise
            with content:
                yield content


def open_cached(store: Store, folder: str, index: GoldenIndex, scratch: Path) -> CachedOutputs:
    """Golden outputs of a finished folder.

    Raises:
        Damaged: a shard is gone or was cut.
    """
    stats = tuple(stat_file(store, folder, file, WHAT) for file in index.files)
    return CachedOutputs(folder, index, ShardFiles(store, stats, scratch))


@dataclass(frozen=True)
class Aligned:
    """Golden outputs held against the dataset's batches while they are read; iterate them as often as needed."""

    dataset: Dataset
    outputs: Iterable[Mapping[str, Array]]

    def __iter__(self) -> Iterator[Mapping[str, Array]]:
        """The outputs of each batch.

        Raises:
            InvalidInput: they do not match the batches, so the dataset is not the one they were made of.
        """
        feed = iter(self.outputs)
        for count in self.dataset.counts():
            batch = next(feed, None)
            # What the samples of a batch share is a single row.
            if batch is None or any(len(a) not in (count, 1) for a in batch.values()):
                raise InvalidInput("the dataset changed while the audit ran: run the audit again")
            yield batch


def _typed(array: Array, dtype: str) -> Array:
    if array.dtype.name == dtype:
        return array
    import ml_dtypes  # registers bfloat16 and its kin with NumPy

    return array.view(getattr(ml_dtypes, dtype))
