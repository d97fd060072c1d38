"""Files and records that carry their own digest, so that one which was cut or replaced in the store is not believed.

A record is JSON with the digest of the rest in it, and names the files of its entry with theirs. The record goes last,
and a file's name in the store follows its content: of tasks that write one entry at once the last record counts, with
the files that it was written for, and whoever has read the one before still finds its own. The digest is of the place
too, so that an entry copied over another is told.

The digests lie in the store that they speak of. They tell damage, not the intent of someone who may write there.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, BinaryIO, Final

from pydantic import Field, ValidationError

from assay_api.model import M, Model, parse
from assay_runner.digests import file_sha256, open_sha256
from assay_runner.errors import InvalidInput, Unavailable
from assay_runner.stores import Stat, join
from assay_runner.stores.files import whole_file
from assay_runner.stores.regular import Irregular, obstacle, open_regular

if TYPE_CHECKING:
    from assay_runner.stores import Store

FORMAT: Final = 2
"""Version of an entry's layout; what bears another, or no digest, is passed over and made again."""
MOST_RECORD: Final = 64 << 20
"""Bytes beyond which a record is none of ours."""
_DIGEST: Final = "sha256"
_SEAL: Final = b"assay sha256 "


class Damaged(Unavailable):
    """What the cache holds is not what was stored there; whoever can makes it again.

    Attributes:
        uri: where it lies.
        why: what is wrong with it.
    """

    def __init__(self, what: str, why: str, uri: str) -> None:
        """`what` names the kind of thing, `why` tells what is wrong with it."""
        self._told = f"the cached {what} did not match its digest ({why})"
        self.uri, self.why = uri, why
        super().__init__(f"{self._told}: {uri}; run the audit again to have it made again")

    @property
    def note(self) -> str:
        """For the reader of a report for which it was made again."""
        return f"{self._told} and was made again: {self.uri}"


class StoredFile(Model):
    """A file of an entry."""

    name: str = Field(pattern=r"^\w[\w.-]*$")
    """Its name where it is used."""
    sha256: str
    """Of its content."""
    size: int
    """Bytes."""

    @property
    def stored_name(self) -> str:
        """Its name in the store."""
        path = PurePosixPath(self.name)
        return f"{path.stem}-{self.sha256[:16]}{path.suffix}"


class EntryRecord(Model):
    """What an entry holds; written when all of it is there."""

    format: int = FORMAT
    """Version of this layout."""
    files: tuple[StoredFile, ...]
    """Every file of it."""


def put_record(store: Store, uri: str, record: Model) -> None:
    """Store a record with its digest."""
    content = json.loads(record.model_dump_json(by_alias=True))
    sealed = json.dumps({**content, _DIGEST: _digest(content, uri)}, indent=1).encode()
    store.put(uri, sealed, "application/json")


def read_record(store: Store, uri: str, kind: type[M], what: str) -> M | None:
    """A record, or None where there is none, or one of a version that stored no digest or another layout.

    Raises:
        Damaged: it is not as it was stored; `what` names the thing it is the record of.
        Unavailable: none can be stored there before something is removed.
    """
    stat = look_up(store, uri, what, "its record")
    if stat is None:
        return None
    damaged = Damaged(what, "its record was changed", uri)
    if stat.size > MOST_RECORD:
        raise damaged
    read = read_whole(store, uri, what, "its record")
    if read is None:
        return None
    try:
        content = json.loads(read)
    except (ValueError, RecursionError) as error:
        raise damaged from error
    if not isinstance(content, dict):
        raise damaged
    digest = content.pop(_DIGEST, None)
    layout = kind.model_fields["format"].default if "format" in kind.model_fields else FORMAT
    if digest is None or content.get("format", layout) != layout:
        return None
    if digest != _digest(content, uri):
        raise damaged
    try:
        return parse(kind, content)
    except ValidationError as error:
        raise damaged from error


def look_up(store: Store, uri: str, what: str, name: str) -> Stat | None:
    """An object of the cache, called `name`; None where there is none.

    Raises:
        Damaged: what lies there is no file, and is replaced by storing one.
        Unavailable: what lies there cannot be replaced. Said before anything is made that could not be kept.
    """
    path = store.local_path(uri)
    blocking = None if path is None else obstacle(path)
    if blocking is not None:
        kind = "a folder" if blocking == path else "no folder"
        raise Unavailable(
            f"no {what} can be kept at {uri}, for {blocking} is {kind}: remove it, and run the audit again"
        )
    try:
        return store.stat(uri)
    except Irregular as error:
        raise Damaged(what, f"{name} is no regular file", uri) from error


def read_whole(store: Store, uri: str, what: str, name: str) -> bytes | None:
    """A small object's content; None where it was deleted since it was looked up, as a cache may be at any time.

    Raises:
        Damaged: it lies there and cannot be read.
    """
    try:
        return store.read(uri)
    except InvalidInput as error:
        if look_up(store, uri, what, name) is None:
            return None
        raise Damaged(what, f"{name} cannot be read", uri) from error


def _digest(content: dict[str, Any], uri: str) -> str:
    return _at(uri, json.dumps(content, sort_keys=True).encode())


def _at(uri: str, content: bytes) -> str:
    """SHA-256 of a content and its place: folder and name, whose folder says what an entry was made from."""
    place = "/".join(uri.split("/")[-2:])
    return hashlib.sha256(place.encode() + b"\0" + content).hexdigest()


def put_file(store: Store, folder: str, path: Path) -> StoredFile:
    """Store a file of an entry; whatever stands in its place is replaced."""
    file = StoredFile(name=path.name, sha256=file_sha256(path), size=path.stat().st_size)
    store.put(join(folder, file.stored_name), path)
    return file


def stat_file(store: Store, folder: str, file: StoredFile, what: str) -> Stat:
    """A file of an entry as the store has it.

    Raises:
        Damaged: it is gone, or of another size, or no file.
        Unavailable: none can be stored there before something is removed.
    """
    uri = join(folder, file.stored_name)
    stat = look_up(store, uri, what, file.name)
    if stat is None:
        raise Damaged(what, f"{file.name} is missing", uri)
    if stat.size != file.size:
        raise Damaged(what, f"{file.name} has {stat.size} bytes and not {file.size}", uri)
    return stat


def get_file(store: Store, folder: str, file: StoredFile, what: str, path: Path) -> None:
    """Fetch a file of an entry to `path`.

    Raises:
        Damaged: it is gone, or not what was stored.
    """
    stat = stat_file(store, folder, file, what)
    with reading(stat.uri, file, what):
        store.get(stat.uri, path)
    verified(path, stat.uri, file, what).close()


@contextmanager
def reading(uri: str, file: StoredFile, what: str) -> Iterator[None]:
    """A block in which a file of an entry is read: where the store has it no more, that is the entry's damage."""
    try:
        yield
    except InvalidInput as error:
        raise Damaged(what, f"{file.name} cannot be read", uri) from error


def verified(path: Path, uri: str, file: StoredFile, what: str) -> BinaryIO:
    """An entry's file on disk, opened: what is read from it was verified, though another take its place meanwhile.

    Raises:
        Damaged: it is not what was stored.
    """
    try:
        content = open_regular(path, str(path))
    except (OSError, InvalidInput) as error:
        raise Damaged(what, f"{file.name} cannot be read", uri) from error
    if open_sha256(content) != file.sha256:
        content.close()
        raise Damaged(what, f"{file.name} has other content", uri)
    content.seek(0)
    return content


def sealed(content: bytes, uri: str) -> bytes:
    """A small file that is replaced as a whole by everybody, and so carries its digest itself."""
    return _SEAL + _at(uri, content).encode() + b"\n" + content


def unsealed(content: bytes, uri: str) -> bytes | None:
    """What was sealed for this place, or None where it is not that."""
    head, _, body = content.partition(b"\n")
    return body if head == _SEAL + _at(uri, body).encode() else None


def write_whole(path: Path, content: bytes) -> None:
    """Write a file that appears whole or not at all."""
    with whole_file(path, len(content)) as file:
        file.write(content)
