"""Rows of an .npz file, read one after the other.

`numpy.load` brings a whole array into memory, and a dataset may be one array of many gigabytes. An .npz is a zip of
.npy members, each a short header and then the rows, so rows can be decompressed and handed on as they are needed.
Nothing is ever unpickled.
"""

from __future__ import annotations

import errno
import io
import lzma
import math
import re
import struct
import tokenize
import uuid
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final, Protocol

import numpy as np
from numpy.lib import format as npy

from assay_runner.errors import InvalidInput, Unavailable
from assay_runner.stores.files import CHUNK, disk_error
from assay_runner.stores.regular import open_regular
from assay_runner.tensors import Array

SUFFIX: Final = ".npy"
_CORRUPT: Final = (
    zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, ValueError, KeyError, RuntimeError, struct.error,
    OverflowError,
)  # fmt: skip
_MOST_PER_BYTE: Final = {zipfile.ZIP_STORED: 1, zipfile.ZIP_DEFLATED: 1032}
"""Bytes that one byte of a member can stand for, at most."""
_MOST_HEADER: Final = 1 << 16
"""Bytes of an .npy header and its preamble that are read; NumPy takes headers of 10,000 characters."""

_UNNAMED: Final = re.compile(r"not a valid dtype descriptor: '([^']{1,40})'")


@dataclass(frozen=True)
class ArrayHeader:
    """What an .npy header says.

    Attributes:
        name: name of the array.
        dtype: element type, in the file's byte order.
        shape: all axes; the first counts samples.
        fortran: whether the first axis varies fastest in the file.
        unnamed: the element type as the file spells it, where NumPy has none of that name; `dtype` says nothing then.
    """

    name: str
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    fortran: bool
    unnamed: str = ""

    @property
    def nbytes(self) -> int:
        """Bytes of all rows."""
        return self.dtype.itemsize * math.prod(self.shape)


@contextmanager
def corruption(name: str) -> Iterator[None]:
    """Turn what zipfile, zlib and numpy raise over a damaged file into a sentence."""
    try:
        yield
    except _CORRUPT as error:
        reason = " ".join(str(error).split())[:160].rstrip(".") or type(error).__name__
        raise InvalidInput(f"{name} is corrupt or truncated ({reason}): store it again") from error
    except OSError as error:
        if error.errno in (None, errno.EINVAL):  # EINVAL: a place in the file that cannot be.
            raise InvalidInput(f"{name} is corrupt ({error}): store it again") from error
        if error.errno in (errno.EACCES, errno.EPERM):
            raise InvalidInput(f"{name} may not be read: give this user the permission") from error
        raise Unavailable(f"{name} cannot be read: {(error.strerror or 'input/output error').lower()}") from error


def read_headers(file: IO[bytes], name: str) -> dict[str, ArrayHeader]:
    """Headers of every array in an .npz, by name.

    Args:
        file: the seekable file.
        name: what to call it in a sentence.

    Raises:
        InvalidInput: it is no .npz, or corrupt.
    """
    start = file.read(6)
    if not start:
        raise InvalidInput(f"{name} is empty (0 bytes): store it again")
    if start == npy.MAGIC_PREFIX:
        raise InvalidInput(f"{name} is a single .npy array, not an .npz: save it by numpy.savez(file, name=array)")
    with corruption(name), zipfile.ZipFile(file) as archive:
        size = file.seek(0, io.SEEK_END)
        members = [m for m in archive.infolist() if m.filename.endswith(SUFFIX)]
        headers = {m.filename.removesuffix(SUFFIX): _header_of(archive, m, size) for m in members}
    if len(headers) < len(members):
        (twice, _), *_ = Counter(m.filename.removesuffix(SUFFIX) for m in members).most_common(1)
        raise InvalidInput(f"{name} holds several arrays named {twice!r}: store it again, with each name once")
    return headers


def _header_of(archive: zipfile.ZipFile, member: zipfile.ZipInfo, size: int) -> ArrayHeader:
    with archive.open(member) as stream:
        header = _read_header(stream, member.filename.removesuffix(SUFFIX))
        rest = member.file_size - stream.tell()
    # Held against each other before anything is allocated or unpacked: whatever follows may rely on the shape.
    most = _MOST_PER_BYTE.get(member.compress_type, math.inf) * min(member.compress_size, size)
    if not header.dtype.hasobject:
        if rest < header.nbytes or member.file_size > most:
            raise EOFError(f"array {header.name} ends before its last sample")
        if rest > header.nbytes:
            raise ValueError(f"array {header.name} has {rest - header.nbytes} bytes behind its last sample")
    return header


def _read_header(stream: IO[bytes], name: str) -> ArrayHeader:
    head = _Head(stream)
    version = npy.read_magic(head)
    try:
        if version == (1, 0):
            shape, fortran, dtype = npy.read_array_header_1_0(head)
        elif version == (2, 0):
            shape, fortran, dtype = npy.read_array_header_2_0(head)
        else:
            # Version 3 exists for field names of structured arrays alone, which no tensor has: never a needed array.
            return ArrayHeader(name, np.dtype(object), (), False)
    except ValueError as error:
        # Types that others add to NumPy are written by names that it cannot read back, such as <f1 for float8.
        if found := _UNNAMED.search(str(error)):
            return ArrayHeader(name, np.dtype(object), (), False, found[1])
        raise
    except (MemoryError, SyntaxError, TypeError, tokenize.TokenError) as error:
        # NumPy has Python read the header, and lets through much of what that says of one that is none.
        raise ValueError(f"array {name} has no readable header") from error
    if min(shape, default=0) < 0:
        raise ValueError(f"array {name} has a negative shape")
    return ArrayHeader(name, dtype, tuple(int(n) for n in shape), bool(fortran))


class _Head:
    """The beginning of a member, however long a header it claims to have."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._left = _MOST_HEADER

    def read(self, size: int = -1, /) -> bytes:
        if not 0 <= size <= self._left:
            raise ValueError("the header is too long")
        self._left -= size
        return self._stream.read(size)


class RowReader(Protocol):
    """Reads an array from its first row to its last."""

    def take(self, count: int) -> Array:
        """The next `count` rows, in native byte order. Raises InvalidInput where the file ends before."""
        ...


class _StreamedRows:
    """Rows in the order of the file, decompressed as they are needed."""

    def __init__(self, stream: IO[bytes], header: ArrayHeader) -> None:
        self._stream = stream
        self._header = header

    def take(self, count: int) -> Array:
        out = np.empty((count, *self._header.shape[1:]), self._header.dtype)
        view = out.reshape(-1).view(np.uint8).data if out.size else memoryview(bytearray())
        done = 0
        while done < len(view):
            chunk = self._stream.read(min(len(view) - done, CHUNK))
            if not chunk:
                raise EOFError(f"array {self._header.name} ends before its last sample")
            view[done : done + len(chunk)] = chunk
            done += len(chunk)
        return _native(out)


class _MappedRows:
    """Rows of an array stored column by column: unpacked to disk, then gathered.

    The mapping is opened anew for every take, so that pages it touched do not stay in memory.
    """

    def __init__(self, path: Path, header: ArrayHeader) -> None:
        self._path = path
        self._header = header
        self._next = 0

    def take(self, count: int) -> Array:
        mapped = np.memmap(self._path, dtype=self._header.dtype, mode="r", shape=self._header.shape, order="F")
        taken = np.ascontiguousarray(mapped[self._next : self._next + count])
        self._next += count
        return _native(np.array(taken))


def _native(array: Array) -> Array:
    return array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("="))


@contextmanager
def open_rows(
    path: Path, headers: Mapping[str, ArrayHeader], name: str, workdir: Path
) -> Iterator[dict[str, RowReader]]:
    """Readers of the wanted arrays, all from their first row.

    Args:
        path: the .npz file.
        headers: of the arrays that are wanted.
        name: what to call the file in a sentence.
        workdir: where column-ordered arrays are unpacked while the block runs.
    """
    with ExitStack() as stack:
        with corruption(name):
            archive = stack.enter_context(_archive(path, name))
        readers: dict[str, RowReader] = {}
        for key, header in headers.items():
            with corruption(name):
                stream = stack.enter_context(archive.open(key + SUFFIX))
                _read_header(stream, key)
            if header.fortran and len(header.shape) > 1 and 0 not in header.shape:
                target = workdir / f"{uuid.uuid4().hex[:12]}.columns"
                stack.callback(target.unlink, missing_ok=True)
                _unpack(stream, target, header, name)
                readers[key] = _MappedRows(target, header)
            else:
                readers[key] = _StreamedRows(stream, header)
        yield readers


def verify(path: Path, name: str, arrays: Iterable[str]) -> None:
    """Read arrays of an .npz to their ends, where the checksums are.

    Raises:
        InvalidInput: a checksum does not match.
    """
    with corruption(name), _archive(path, name) as archive:
        for array in arrays:
            with archive.open(array + SUFFIX) as stream:
                while stream.read(CHUNK):
                    pass


@contextmanager
def _archive(path: Path, name: str) -> Iterator[zipfile.ZipFile]:
    with open_regular(path, name) as file, zipfile.ZipFile(file) as archive:
        yield archive


def _unpack(stream: IO[bytes], target: Path, header: ArrayHeader, name: str) -> None:
    size = header.nbytes
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        out = target.open("wb")
    except OSError as error:
        raise disk_error(error, target, size) from error
    with out:
        left = size
        while left:
            with corruption(name):
                chunk = stream.read(min(left, CHUNK))
                if not chunk:
                    raise EOFError(f"array {header.name} ends before its last sample")
            try:
                out.write(chunk)
            except OSError as error:
                raise disk_error(error, target, size) from error
            left -= len(chunk)
