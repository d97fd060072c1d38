"""Which files lie at a URI, who reads them, and what they are cut into: shards, or feeds."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final, cast

from assay_runner.data.arrays import ArrayHeader, Format
from assay_runner.data.readers import every_reader, known
from assay_runner.data.readers.npz import NPZ
from assay_runner.data.readers.reader import Reader, Wanted
from assay_runner.data.rewriting import rewritten
from assay_runner.data.rules import other_file
from assay_runner.data.shards import peek
from assay_runner.errors import InvalidInput, NotYet
from assay_runner.stores import Stat, basename

if TYPE_CHECKING:
    from assay_runner.stores import Store

_DIGITS: Final = re.compile(r"(\d+)")


@dataclass(frozen=True)
class Part:
    """What is read as one: a shard, or a feed.

    Attributes:
        name: what to call it in a sentence.
        key: by which inputs and outputs of a feed belong together.
        stat: the object that it came from, or what stands for several.
        format: what reads it.
        reader: whose it is.
        path: where it lies on this machine, if what reads it had to rewrite it.
    """

    name: str
    key: str
    stat: Stat
    format: Format
    reader: Reader
    path: Path | None = None

    def headers(self, store: Store) -> dict[str, ArrayHeader]:
        """Headers of its arrays, without fetching all of it.

        Raises:
            InvalidInput: it is no file of its kind, or corrupt.
        """
        if self.path is not None:
            with self.path.open("rb") as file:
                return self.format.headers(file, self.name)
        with peek(store, self.stat) as seekable:
            return self.format.headers(cast(IO[bytes], seekable), self.name)


@dataclass(frozen=True)
class Found:
    """The files at a URI that one reader takes, in their order; of those that belong together, one group each."""

    reader: Reader
    groups: tuple[tuple[str, tuple[Stat, ...]], ...]

    def parts(self, store: Store, wanted: Wanted, scratch: Path) -> Iterator[Part]:
        """What they are cut into; a reader that rewrites them does so as far as this is read.

        Raises:
            InvalidInput: they cannot be read.
            Unavailable: the store does not answer, or the disk is full.
        """
        number = 0
        for key, stats in self.groups:
            name, own = basename(key), key if self.reader.folders else _stem(key)
            if self.reader.format:
                yield Part(name, own, stats[0], self.reader.format, self.reader)
                continue
            stat = _stands_for(key, stats)
            for place, path in enumerate(rewritten(self.reader, store, stats, wanted, scratch)):
                called = f"{name}, part {place}" if place or self.reader.ordered else name
                # A name that no file can have.
                named = f"#{number}" if self.reader.ordered else f"{own}//{place}" if place else own
                yield Part(called, named, stat, NPZ, self.reader, path)
                number += 1


def find(store: Store, uri: str, what: str, wanted: Wanted) -> Found:
    """The files at a URI: the one that it names, or those below it in name order.

    Raises:
        InvalidInput: there are none that a reader knows, or files of several kinds.
        Unavailable: the store does not answer.
    """
    readers = every_reader()
    if not uri.endswith("/"):
        name = basename(uri)
        mine = next((reader for reader in readers if reader.takes(name, wanted.role)), None)
        one = store.stat(uri) if mine else None
        if mine and one:
            folder = basename(uri.removesuffix(name))
            return Found(mine, ((folder if mine.folders else name, (one,)),))
    prefix = uri if uri.endswith("/") else f"{uri}/"
    objects = tuple(store.list(prefix))
    taken = {r: [s for s in objects if r.takes(s.uri.removeprefix(prefix), wanted.role)] for r in readers}
    sure = {reader: stats for reader, stats in taken.items() if stats and not reader.last}
    chosen = sure or {reader: stats for reader, stats in taken.items() if stats}
    if len(chosen) > 1:
        kinds = ", ".join(f"{len(stats)} of {reader.name}" for reader, stats in chosen.items())
        raise InvalidInput(f"the {what} {uri} holds files of several kinds ({kinds}): keep those of one kind below it")
    for reader, stats in chosen.items():
        _check_named(stats, what)
        return Found(reader, _groups(reader, prefix, stats))
    raise _nothing(store, uri, what, objects)


def _check_named(stats: Sequence[Stat], what: str) -> None:
    """Digests and reports name files as text."""
    for stat in stats:
        try:
            stat.uri.encode()
        except UnicodeEncodeError:
            shown = stat.uri.encode("utf-8", "backslashreplace").decode()
            raise InvalidInput(f"the {what} holds {shown}, whose name is no UTF-8: name the file otherwise") from None


def _groups(reader: Reader, prefix: str, stats: Sequence[Stat]) -> tuple[tuple[str, tuple[Stat, ...]], ...]:
    if not reader.folders:
        return tuple((stat.uri.removeprefix(prefix), (stat,)) for stat in stats)
    found: dict[str, list[Stat]] = {}
    for stat in stats:
        folder = stat.uri.removeprefix(prefix).rpartition("/")[0]
        found.setdefault(folder or basename(prefix), []).append(stat)
    return tuple(
        (name, tuple(sorted(found[name], key=lambda stat: _numbered(stat.uri))))
        for name in sorted(found, key=_numbered)
    )


def _numbered(name: str) -> list[str | int]:
    """For an order in which 10 follows 9."""
    return [int(part) if part.isdigit() else part for part in _DIGITS.split(name)]


def _nothing(store: Store, uri: str, what: str, objects: Sequence[Stat]) -> InvalidInput:
    if objects:
        first = basename(objects[0].uri)
        if first.endswith(".npy"):
            return InvalidInput(f"the {what} {uri}: {first} {other_file(first, known())}")
        return InvalidInput(
            f"the {what} {uri} holds {len(objects)} objects, none of which is known here (the first is "
            f"{first}): known are {known()}"
        )
    if not uri.endswith("/") and store.stat(uri) is not None:
        return InvalidInput(f"the {what} {uri} {other_file(basename(uri), known())}")
    named = not uri.endswith("/") and "." in basename(uri)
    kind = "it does not exist" if named else "nothing lies below it"
    # What an image does not hold, it never will; what storage does not hold may be on its way.
    error = NotYet if uri.startswith("s3://") else InvalidInput
    return error(f"the {what} {uri} is missing or empty: {kind}; correct the URI or store the data there")


def _stem(key: str) -> str:
    folder, _, name = key.rpartition("/")
    stem = name.rsplit(".", 1)[0]
    return f"{folder}/{stem}" if folder else stem


def _stands_for(key: str, stats: Sequence[Stat]) -> Stat:
    if len(stats) == 1:
        return stats[0]
    told = "\n".join(f"{basename(s.uri)}\0{s.size}\0{s.version}" for s in stats)
    return Stat(key, sum(s.size for s in stats), hashlib.sha256(told.encode()).hexdigest())
