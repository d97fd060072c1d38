"""Where a shard's bytes come from: a file in place, or an object fetched to scratch for as long as it is needed.

Shapes and sample counts are read through range requests, so that opening a dataset does not download it. While one
shard is read the next is fetched, never more; a small dataset stays in scratch, for it is read several times.
"""

from __future__ import annotations

import hashlib
import io
import uuid
from collections import OrderedDict
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from assay_runner.data.arrays import corruption
from assay_runner.stores import Replaced, Stat, basename
from assay_runner.stores.files import free_bytes
from assay_runner.stores.regular import open_regular

if TYPE_CHECKING:
    from assay_runner.data.seals import Seal
    from assay_runner.stores import Gets

KEEP_BYTES: Final = 1 << 30
_BLOCK: Final = 256 << 10
_BLOCKS: Final = 4


class RangeFile(io.RawIOBase):
    """A seekable file over range requests, with the last few blocks kept."""

    def __init__(self, store: Gets, stat: Stat) -> None:
        """Read `stat.uri` of `stat.size` bytes."""
        self._store = store
        self._stat = stat
        self._position = 0
        self._kept: OrderedDict[int, bytes] = OrderedDict()

    def readable(self) -> bool:
        """Whether it can be read: always."""
        return True

    def seekable(self) -> bool:
        """Whether it can be read from any position: always, which is what zipfile asks of it."""
        return True

    def tell(self) -> int:
        """Position in bytes."""
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move to an offset from the start, the position or the end."""
        origin = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._stat.size}[whence]
        if origin + offset < 0:
            raise ValueError("negative seek position")
        self._position = origin + offset
        return self._position

    def readinto(self, buffer: object) -> int:
        """Fill the buffer as far as the current block reaches."""
        view = memoryview(buffer).cast("B")  # type: ignore[arg-type]
        index, inside = divmod(self._position, _BLOCK)
        if not len(view) or self._position >= self._stat.size:
            return 0
        part = self._block(index)[inside : inside + len(view)]
        view[: len(part)] = part
        self._position += len(part)
        return len(part)

    def _block(self, index: int) -> bytes:
        if index not in self._kept:
            found = self._store.read_range(self._stat.uri, index * _BLOCK, _BLOCK, self._stat.version)
            if len(found) < min(_BLOCK, self._stat.size - index * _BLOCK):
                raise Replaced(self._stat.uri)
            self._kept[index] = found
            if len(self._kept) > _BLOCKS:
                self._kept.popitem(last=False)
        self._kept.move_to_end(index)
        return self._kept[index]


@contextmanager
def peek(store: Gets, stat: Stat) -> Iterator[io.BufferedIOBase]:
    """An object as a seekable file, for reading a little of it."""
    path = store.local_path(stat.uri)
    if path is not None:
        with corruption(stat.uri):
            file = open_regular(path, stat.uri)
        with file:
            yield file
    else:
        with io.BufferedReader(RangeFile(store, stat), 8192) as ranges:
            yield ranges


class ShardFiles:
    """Shards of one dataset as files on disk, in order, for one or more passes.

    Attributes:
        verified: indices of the shards that were read against their checksums, although not all of them is used.
    """

    def __init__(
        self,
        store: Gets,
        stats: tuple[Stat, ...],
        scratch: Path,
        keep: int = KEEP_BYTES,
        placed: tuple[Path | None, ...] = (),
        seals: tuple[Seal | None, ...] = (),
    ) -> None:
        """Fetch nothing yet; shards of more than `keep` bytes together go once they are read.

        Those that are `placed` lie on disk already, whatever the store holds. With `seals` each is to be what it was: a
        file what its seal says, an object of the version of its stat. Without, whoever reads them holds them to more.
        """
        self._store = store
        self._stats = stats
        self._placed = placed or (None,) * len(stats)
        self._seals, self._pinned = seals or (None,) * len(stats), bool(seals)
        self._scratch = scratch / "shards"
        self.verified: set[int] = set()
        self._local: dict[int, Path | None] = {}
        total = sum(s.size for s in stats)
        self._keep = total <= min(keep, free_bytes(scratch) // 4)

    @property
    def workdir(self) -> Path:
        """Folder for what is derived from shards."""
        return self._scratch

    @contextmanager
    def session(self) -> Iterator[ShardSession]:
        """One pass over the shards."""
        with ThreadPoolExecutor(1, "fetch") as executor:
            session = ShardSession(self, executor)
            try:
                yield session
            finally:
                session.close()

    def local(self, index: int) -> Path | None:
        """The shard's file where it needs no fetching."""
        if index not in self._local:
            self._local[index] = self._placed[index] or self._store.local_path(self._stats[index].uri)
        return self._local[index]

    def seal(self, index: int) -> Seal | None:
        """What the shard's file held when it was opened, where it is read where it lies."""
        return self._seals[index]

    def count(self) -> int:
        """Number of shards."""
        return len(self._stats)

    def fetch(self, index: int) -> tuple[Path, bool]:
        """Fetch a shard to scratch; also whether it stays there."""
        stat = self._stats[index]
        version = stat.version if self._pinned else None
        if not self._keep:
            path = self._scratch / f"{uuid.uuid4().hex[:12]}-{basename(stat.uri)}"
            self._store.get(stat.uri, path, version=version)
            return path, False
        digest = hashlib.sha256(f"{stat.uri}\0{stat.version}".encode()).hexdigest()[:16]
        path = self._scratch / f"{digest}-{basename(stat.uri)}"
        if not path.exists():
            self._store.get(stat.uri, path, version=version)
        return path, True


class ShardSession:
    """The shards of one pass: the current one on disk, the next one on its way."""

    def __init__(self, files: ShardFiles, executor: ThreadPoolExecutor) -> None:
        """Nothing is on its way yet."""
        self._files = files
        self._executor = executor
        self._coming: dict[int, Future[tuple[Path, bool]]] = {}

    @contextmanager
    def shard(self, index: int, last: int) -> Iterator[Path]:
        """A shard's file; the next one, up to `last`, is fetched meanwhile."""
        local = self._files.local(index)
        if local is not None:
            yield local
            return
        path, kept = self._ask(index).result()
        del self._coming[index]
        if index < last:
            self._ask(index + 1)
        try:
            yield path
        finally:
            if not kept:
                path.unlink(missing_ok=True)

    def _ask(self, index: int) -> Future[tuple[Path, bool]]:
        if index not in self._coming:
            self._coming[index] = self._executor.submit(self._files.fetch, index)
        return self._coming[index]

    def close(self) -> None:
        """Forget what is on its way."""
        for future in self._coming.values():
            if not future.cancel() and future.exception() is None:
                path, kept = future.result()
                if not kept:
                    path.unlink(missing_ok=True)
