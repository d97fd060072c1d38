"""What dear builds leave behind, kept in the artifact store: fetched before a build, stored after it where it changed.

Two kinds: files that serve one very build again, which are taken together or not at all; and files that every build of
one identity uses and grows, each of which stands for itself.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

from assay_runner.sealed import (
    Damaged,
    EntryRecord,
    StoredFile,
    get_file,
    put_file,
    put_record,
    read_record,
    read_whole,
    sealed,
    unsealed,
    write_whole,
)
from assay_runner.stores import basename, join

if TYPE_CHECKING:
    from assay_runner.stores import Store

RECORD: Final = "index.json"
MOST_SHARED: Final = 64 << 20
"""Bytes of a shared file that are still worth fetching; one that grew beyond is begun anew."""


class Shelf:
    """A folder whose files serve one very build: engines, ranges, what is known of them."""

    def __init__(self, store: Store, uri: str, folder: Path) -> None:
        """Keep the files of `folder` below `uri`."""
        self._store, self._uri, self._folder = store, uri, folder
        self._known: dict[str, tuple[int, ...]] = {}
        self._files: dict[str, StoredFile] = {}

    def fetch(self) -> tuple[str, ...]:
        """Whatever lies there, if it is as it was stored; else nothing, and a note that says so."""
        self._folder.mkdir(parents=True, exist_ok=True)
        try:
            record = read_record(self._store, join(self._uri, RECORD), EntryRecord, "engine")
            files = record.files if record else ()
            for file in files:
                get_file(self._store, self._uri, file, "engine", self._folder / file.name)
        except Damaged as error:
            for path in self._folder.iterdir():
                path.unlink()
            return (error.note,)
        self._files = {file.name: file for file in files}
        self._known = {name: _signature(self._folder / name) for name in self._files}
        return ()

    def keep(self) -> None:
        """Whatever is new or changed, then the record of all of it."""
        paths = sorted(self._folder.iterdir())
        now = {path.name: _signature(path) for path in paths}
        if now == self._known:
            return
        for path in paths:
            if self._known.get(path.name) != now[path.name]:
                self._files[path.name] = put_file(self._store, self._uri, path)
        files = tuple(self._files[name] for name in now)
        put_record(self._store, join(self._uri, RECORD), EntryRecord(files=files))
        self._known = now


class SharedShelf:
    """A folder whose files serve every build of one identity, and are grown by it: timing caches.

    Others write there too: what they wrote meanwhile is added to ours before ours takes its place. Who stores within
    the same moment wins; what is lost so is only made again.
    """

    def __init__(self, store: Store, uri: str, folder: Path, merge: Callable[[Path, Path], None]) -> None:
        """Keep the files of `folder` below `uri`; `merge` adds to the first file what the second holds."""
        self._store, self._uri, self._folder, self._merge = store, uri, folder, merge
        self._known: dict[str, tuple[int, ...]] = {}
        self._versions: dict[str, str] = {}

    def fetch(self) -> tuple[str, ...]:
        """Whatever lies there and is as it was stored; a note for each file that is not, which is begun anew."""
        self._folder.mkdir(parents=True, exist_ok=True)
        notes = []
        for stat in tuple(self._store.list(f"{self._uri}/")):
            name = basename(stat.uri)
            self._versions[name] = stat.version
            if stat.size > MOST_SHARED:
                continue
            try:
                content = self._content(stat.uri)
            except Damaged as error:
                notes.append(error.note)
                continue
            if content is not None:
                write_whole(self._folder / name, content)
                self._known[name] = _signature(self._folder / name)
        return tuple(notes)

    def keep(self) -> None:
        """Whatever is new or changed."""
        for path in sorted(self._folder.iterdir()):
            if self._known.get(path.name) == _signature(path):
                continue
            uri = join(self._uri, path.name)
            self._take_in(uri, path)
            self._store.put(uri, sealed(path.read_bytes(), uri))
            self._known[path.name] = _signature(path)
            stat = self._store.stat(uri)
            self._versions[path.name] = stat.version if stat else ""

    def _take_in(self, uri: str, ours: Path) -> None:
        stat = self._store.stat(uri)
        if stat is None or stat.version == self._versions.get(ours.name) or stat.size > MOST_SHARED:
            return
        try:
            content = self._content(uri)
        except Damaged:
            return  # Ours takes its place.
        if content is not None:
            theirs = self._folder.with_name(f"{self._folder.name}-others") / ours.name
            write_whole(theirs, content)
            self._merge(ours, theirs)
            theirs.unlink()

    def _content(self, uri: str) -> bytes | None:
        """What was stored; None where it was deleted since it was looked up."""
        what, name = "timing cache", basename(uri)
        stored = read_whole(self._store, uri, what, name)
        content = None if stored is None else unsealed(stored, uri)
        if stored is not None and content is None:
            raise Damaged(what, f"{name} has other content", uri)
        return content


Shelves = tuple[Shelf | SharedShelf, ...]


def _signature(path: Path) -> tuple[int, ...]:
    """Changes whenever a file is written; plans are too large to be read for that."""
    stat = path.stat()
    return stat.st_ino, stat.st_size, stat.st_mtime_ns
