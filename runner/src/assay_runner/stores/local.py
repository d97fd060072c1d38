"""file:// URIs: objects are files, prefixes are folders."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from assay_runner.errors import InvalidInput, Unavailable
from assay_runner.stores import Opening, Replaced, Stat
from assay_runner.stores.companions import companion
from assay_runner.stores.files import CHUNK, TEMPORARY, whole_file
from assay_runner.stores.regular import open_regular, refuse_irregular

SCHEME = "file://"
LINKED = 256 << 20
"""Bytes from which on a companion of another object is not copied where it can be linked: weights of gigabytes."""


def open_local(opening: Opening) -> LocalStore:
    """The store of file:// URIs."""
    return LocalStore(opening.base)


class LocalStore:
    """Files below file:///absolute/path, and below file://./path where a base folder gives that a meaning."""

    def __init__(self, base: Path | None = None) -> None:
        """Relative URIs are relative to `base`; without it they are refused."""
        self._base = base

    def _path(self, uri: str) -> Path:
        if not uri.startswith(SCHEME):
            raise InvalidInput(f"{uri} is not a file:// URI")
        path = uri.removeprefix(SCHEME)
        if "\0" in path:
            raise InvalidInput(f"{uri!r} holds a NUL character: correct the URI")
        if path.startswith("/"):
            return Path(path)
        if not path.startswith("."):
            raise InvalidInput(f"{uri} has no absolute path: write file:///{path}, or file://./{path} beside the audit")
        if self._base is None:
            raise InvalidInput(f"{uri} is relative, which only local runs can resolve: use s3:// or file:///absolute")
        return Path(os.path.normpath(self._base / path))

    def stat(self, uri: str) -> Stat | None:
        """See `Stats`."""
        path = self._path(uri)
        try:
            if not path.exists() or path.is_dir():
                return None
            refuse_irregular(path.stat().st_mode, uri)
            return _stat(uri, path)
        except OSError as error:
            raise _read_error(uri, error) from error

    def list(self, prefix: str) -> Iterator[Stat]:
        """See `Lists`."""
        folder = self._path(prefix if prefix.endswith("/") else prefix.rsplit("/", 1)[0] + "/")
        start = prefix if prefix.endswith("/") else prefix.rsplit("/", 1)[0] + "/"
        found = []
        for parent, folders, files in os.walk(folder, onerror=_refuse(prefix)):
            folders[:] = [name for name in folders if not name.startswith(TEMPORARY)]
            for name in files:
                path = Path(parent, name)
                uri = start + path.relative_to(folder).as_posix()
                if uri.startswith(prefix) and not name.startswith(TEMPORARY):
                    found.append((uri.encode("utf-8", "surrogateescape"), uri, path))
        for _, uri, path in sorted(found):
            try:
                yield _stat(uri, path)
            except OSError as error:
                raise _read_error(uri, error) from error

    def get(self, uri: str, path: Path, named_by: str | None = None, version: str | None = None) -> None:
        """See `Gets`; a version is a time of change, which its user can set."""
        try:
            where = self._path(uri)
            path_read = where if named_by is None else companion(where, self._path(named_by), uri)
            reader = open_regular(path_read, uri, links=named_by is None)
        except OSError as error:
            raise _read_error(uri, error) from error
        with reader:
            size = os.fstat(reader.fileno()).st_size
            if named_by is not None and size >= LINKED and _linked(reader, path):
                return
            with whole_file(path, size) as file:
                shutil.copyfileobj(reader, file, CHUNK)
                _hold(reader, uri, version)

    def read(self, uri: str) -> bytes:
        """See `Gets`."""
        try:
            with open_regular(self._path(uri), uri) as file:
                return file.read()
        except OSError as error:
            raise _read_error(uri, error) from error

    def read_range(self, uri: str, start: int, length: int, version: str | None = None) -> bytes:
        """See `Gets`."""
        try:
            with open_regular(self._path(uri), uri) as file:
                file.seek(start)
                found = file.read(length)
                _hold(file, uri, version)
                return found
        except OSError as error:
            raise _read_error(uri, error) from error

    def local_path(self, uri: str) -> Path | None:
        """See `Gets`."""
        return self._path(uri)

    def put(self, uri: str, source: Path | bytes, content_type: str = "application/octet-stream") -> None:
        """See `Puts`; files have no content type."""
        size = len(source) if isinstance(source, bytes) else source.stat().st_size
        with whole_file(self._path(uri), size) as file:
            if isinstance(source, bytes):
                file.write(source)
            else:
                with source.open("rb") as reader:
                    shutil.copyfileobj(reader, file, CHUNK)


def _linked(reader: BinaryIO, path: Path) -> bool:
    """Give the open file, whatever its name leads to by now, a second name; False where the disk has none for it."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        # Of a name alone, link(2) would not follow it; with a folder given, Python takes linkat(2), which does.
        os.link(f"/proc/self/fd/{reader.fileno()}", path, src_dir_fd=reader.fileno(), follow_symlinks=True)
    except OSError:  # Another disk, one that cannot, or a file that this user may not link.
        return False
    return True


def _stat(uri: str, path: Path) -> Stat:
    found = path.stat()
    return Stat(uri, found.st_size, _version(found))


def _version(found: os.stat_result) -> str:
    return f"{found.st_size:x}-{found.st_mtime_ns:x}"


def _hold(file: BinaryIO, uri: str, version: str | None) -> None:
    """Raise Replaced where an open file is of another version than the one asked for."""
    if version is not None and version != _version(os.fstat(file.fileno())):
        raise Replaced(uri)


def _refuse(prefix: str) -> Callable[[OSError], None]:
    def refuse(error: OSError) -> None:
        if error.errno not in (errno.ENOENT, errno.ENOTDIR):
            raise _read_error(prefix, error) from error

    return refuse


def _read_error(uri: str, error: OSError) -> InvalidInput | Unavailable:
    match error.errno:
        case errno.ENOENT | errno.ENOTDIR:
            return InvalidInput(f"{uri} does not exist: correct the URI or put the file there")
        case errno.EACCES | errno.EPERM:
            return InvalidInput(f"{uri} may not be read: give this user the permission")
        case errno.ENAMETOOLONG | errno.EINVAL | errno.ELOOP:
            return InvalidInput(f"{uri} cannot name a file ({os.strerror(error.errno).lower()}): correct the URI")
        case _:
            return Unavailable(f"{uri} cannot be read: {(error.strerror or type(error).__name__).lower()}")
