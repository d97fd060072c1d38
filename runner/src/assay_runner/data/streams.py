"""Samples in order, across the borders of shards.

Inference wants batches of constant size; shards hold whatever their writer put in them. A stream takes any number of
rows, from as many shards as that needs, and keeps one shard open at a time.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from assay_runner.data.arrays import SMALL, ArrayHeader, Format, corruption
from assay_runner.data.readers.npz import NPZ
from assay_runner.data.shards import ShardFiles, ShardSession
from assay_runner.errors import InvalidInput
from assay_runner.models.room import batch_memory
from assay_runner.tensors import Array

Inspect = Callable[[int, int, Mapping[str, Array]], None]
"""Called with the shard's index, the first row's index in the shard, and the rows read."""


@dataclass(frozen=True)
class Shard:
    """One shard, as its headers describe it.

    Attributes:
        name: what to call it in a sentence.
        rows: rows to be read of it.
        headers: of the arrays to be read, by name.
        format: of its file.
    """

    name: str
    rows: int
    headers: Mapping[str, ArrayHeader]
    format: Format = NPZ

    @property
    def cut(self) -> bool:
        """Whether rows are left unread, and with them the checksums at the end of each array."""
        return any(self.rows < h.samples for h in self.headers.values())

    @cached_property
    def trailing(self) -> tuple[tuple[int, ...], ...]:
        """Shapes of one row of each array; rows of one batch must share them."""
        return tuple(h.row for h in self.headers.values())


def batch_counts(shards: tuple[Shard, ...], batch: int) -> Iterator[int]:
    """Rows of each batch: `batch` each, fewer only before the shape of a row changes and at the end."""
    waiting = 0
    trailing: tuple[tuple[int, ...], ...] | None = None
    for shard in shards:
        if not shard.rows:
            continue
        if waiting and shard.trailing != trailing:
            yield waiting
            waiting = 0
        trailing = shard.trailing
        waiting += shard.rows
        while waiting >= batch:
            yield batch
            waiting -= batch
    if waiting:
        yield waiting


def batch_bytes(shards: Sequence[Shard], batch: int) -> int:
    """Bytes of memory that a batch of the largest samples needs at least."""
    largest: dict[str, int] = {}
    for header in (header for shard in shards if shard.rows for header in shard.headers.values()):
        size = batch_memory([((batch, *header.row), header.dtype.itemsize)])
        largest[header.name] = max(size, largest.get(header.name, 0))
    return sum(largest.values())


class RowStream:
    """Rows of all shards, one pass."""

    def __init__(self, segments: Generator[dict[str, Array], int, None]) -> None:
        """Take rows from a generator that is sent how many it may give at most."""
        self._segments = segments
        self._started = False

    def take(self, count: int) -> dict[str, Array]:
        """The next `count` rows of every array.

        Raises:
            InvalidInput: the shards end before, are corrupt, or change the shape of a row within these rows.
        """
        parts: list[dict[str, Array]] = []
        missing = count
        while missing:
            try:
                if not self._started:
                    next(self._segments)
                    self._started = True
                part = self._segments.send(missing)
            except StopIteration:
                raise InvalidInput(f"the shards end {missing} samples too early: store them again") from None
            parts.append(part)
            missing -= len(next(iter(part.values())))
        return parts[0] if len(parts) == 1 else _joined(parts)


def _joined(parts: list[dict[str, Array]]) -> dict[str, Array]:
    joined = {}
    for name in parts[0]:
        arrays = [part[name] for part in parts]
        if len({a.shape[1:] for a in arrays}) > 1:
            shapes = " and ".join(str(a.shape[1:]) for a in arrays)
            raise InvalidInput(f"array {name!r} changes the shape of a sample within one batch: {shapes}")
        joined[name] = np.concatenate(arrays)
    return joined


@contextmanager
def open_stream(files: ShardFiles, shards: tuple[Shard, ...], inspect: Inspect | None = None) -> Iterator[RowStream]:
    """A stream from the first row on; whatever was fetched for it is removed when the block ends."""
    with files.session() as session:
        segments = _segments(files, session, shards, inspect)
        try:
            yield RowStream(segments)
        finally:
            segments.close()


def _segments(
    files: ShardFiles, session: ShardSession, shards: tuple[Shard, ...], inspect: Inspect | None
) -> Generator[dict[str, Array], int, None]:
    wanted = yield {}
    last = max((i for i, shard in enumerate(shards) if shard.rows), default=-1)
    for index, shard in enumerate(shards):
        if not shard.rows:
            continue
        with ExitStack() as stack:
            path, seal = stack.enter_context(session.shard(index, last)), files.seal(index)
            if seal:
                seal.check()  # Headers are those of what it was.
            if shard.cut and index not in files.verified:
                shard.format.verify(path, shard.name, shard.headers)
                files.verified.add(index)
            readers = stack.enter_context(shard.format.rows(path, shard.headers, shard.name, files.workdir))
            done = 0
            while done < shard.rows:
                # Batches of a small model are read and looked at together.
                block = min(wanted * max(1, _rows_in(SMALL, shard) // wanted), shard.rows - done)
                with corruption(shard.name):
                    rows = {name: reader.take(block) for name, reader in readers.items()}
                done += block
                if seal:
                    # After they are read and before anybody has them.
                    seal.check() if done < shard.rows else seal.close()
                if inspect:
                    try:
                        inspect(index, done - block, rows)
                    except InvalidInput:
                        # A damaged file shows as odd numbers before its checksum is reached: say what is the cause.
                        shard.format.verify(path, shard.name, shard.headers)
                        raise
                first = 0
                while first < block:
                    end = min(first + wanted, block)
                    wanted = yield rows if end - first == block else _copied(rows, first, end)
                    first = end


def _rows_in(size: int, shard: Shard) -> int:
    """How many rows of a shard fit into so many bytes."""
    row = sum(header.dtype.itemsize * math.prod(header.row) for header in shard.headers.values())
    return size // max(1, row)


def _copied(rows: Mapping[str, Array], first: int, end: int) -> dict[str, Array]:
    """Some of the rows, in memory of their own: where they begin there may decide how sums over them are rounded."""
    return {name: array[first:end].copy() for name, array in rows.items()}
