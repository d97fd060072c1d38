"""Rows of an .npz file, read one after the other.

`numpy.load` brings a whole array into memory, and a dataset may be one array of many gigabytes. An .npz is a zip of
.npy members, each a short header and then the rows, so rows can be decompressed and handed on as they are needed.
Nothing is ever unpickled.
"""

from __future__ import annotations

import io
import math
import re
import tokenize
import uuid
import zipfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import IO, Final

import numpy as np
from numpy.lib import format as npy

from assay_runner.data.arrays import ArrayHeader, Format, MappedRows, RowReader, StreamedRows, corruption
from assay_runner.data.readers.reader import Reader
from assay_runner.errors import InvalidInput
from assay_runner.stores.files import CHUNK, disk_error
from assay_runner.stores.regular import open_regular

SUFFIX: Final = ".npy"
_MOST_PER_BYTE: Final = {zipfile.ZIP_STORED: 1, zipfile.ZIP_DEFLATED: 1032}
"""Bytes that one byte of a member can stand for, at most."""
MOST_HEADER: Final = 1 << 16
"""Bytes of an .npy header and its preamble that are read; NumPy takes headers of 10,000 characters."""
_LENGTHS: Final = {b"\x01\0": 2, b"\x02\0": 4}
"""Bytes of a header's length, by the version of the format."""
_REMEMBERED: Final = 1 << 10
"""Bytes of the longest header that is remembered."""

_UNNAMED: Final = re.compile(r"not a valid dtype descriptor: '([^']{1,40})'")


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
        header = read_header(stream, member.filename.removesuffix(SUFFIX))
        rest = member.file_size - stream.tell()
    # Held against each other before anything is allocated or unpacked: whatever follows may rely on the shape.
    most = _MOST_PER_BYTE.get(member.compress_type, math.inf) * min(member.compress_size, size)
    if not header.dtype.hasobject:
        if rest < header.nbytes or member.file_size > most:
            raise EOFError(f"array {header.name} ends before its last sample")
        if rest > header.nbytes:
            raise ValueError(f"array {header.name} has {rest - header.nbytes} bytes behind its last sample")
    return replace(header, checksum=f"{member.CRC:08x}")


def read_header(stream: IO[bytes], name: str) -> ArrayHeader:
    """What the beginning of an .npy file says; the stream stands at its first element then.

    Raises:
        ValueError: there is no such beginning.
    """
    raw = _raw(_Head(stream))
    # Shards of a dataset begin alike, and to have Python read the same header takes longer than to read a small array.
    return _understood(raw, name) if len(raw) <= _REMEMBERED else _understood.__wrapped__(raw, name)


def _raw(head: _Head) -> bytes:
    """The beginning up to the first element; less, of what is none."""
    start = head.read(npy.MAGIC_LEN)
    size = head.read(_LENGTHS.get(start[len(npy.MAGIC_PREFIX) :], 0))
    return start + size + head.read(int.from_bytes(size, "little"))


@lru_cache(256)
def _understood(raw: bytes, name: str) -> ArrayHeader:
    head = io.BytesIO(raw)
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
            return ArrayHeader(name, np.dtype(object), (), False, unnamed=found[1])
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
        self._left = MOST_HEADER

    def read(self, size: int = -1, /) -> bytes:
        if not 0 <= size <= self._left:
            raise ValueError("the header is too long")
        self._left -= size
        return self._stream.read(size)


@contextmanager
def open_rows(
    path: Path, headers: Mapping[str, ArrayHeader], name: str, workdir: Path
) -> Iterator[dict[str, RowReader]]:
    """Readers of the wanted arrays, all from their first sample.

    Args:
        path: the .npz file.
        headers: of the arrays that are wanted.
        name: what to call the file in a sentence.
        workdir: where arrays whose samples do not lie one after the other are unpacked while the block runs.
    """
    with ExitStack() as stack:
        with corruption(name):
            archive = stack.enter_context(_archive(path, name))
        readers: dict[str, RowReader] = {}
        for key, header in headers.items():
            with corruption(name):
                stream = stack.enter_context(archive.open(key + SUFFIX))
                read_header(stream, key)
            if not header.streams:
                target = workdir / f"{uuid.uuid4().hex[:12]}.columns"
                stack.callback(target.unlink, missing_ok=True)
                _unpack(stream, target, header, name)
                readers[key] = MappedRows(target, header)
            else:
                readers[key] = StreamedRows(stream, header)
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


class _Npz:
    """`Format`."""

    def headers(self, file: IO[bytes], name: str) -> dict[str, ArrayHeader]:
        return read_headers(file, name)

    def rows(
        self, path: Path, headers: Mapping[str, ArrayHeader], name: str, workdir: Path
    ) -> AbstractContextManager[dict[str, RowReader]]:
        return open_rows(path, headers, name, workdir)

    def verify(self, path: Path, name: str, arrays: Iterable[str]) -> None:
        verify(path, name, arrays)


NPZ: Final[Format] = _Npz()
READER: Final = Reader("npz", ".npz", lambda name, _: name.endswith(".npz"), NPZ)
