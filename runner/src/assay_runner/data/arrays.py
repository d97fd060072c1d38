"""Arrays in files: what their headers say, and their samples, read one after the other.

Whatever a file's format, samples come first in what is read of it: that is how they are cut into batches.
"""

from __future__ import annotations

import errno
import lzma
import math
import struct
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final, Literal, Protocol

import numpy as np

from assay_runner.errors import InvalidInput, Unavailable
from assay_runner.stores.files import CHUNK
from assay_runner.tensors import Array, row_of

_CORRUPT: Final = (
    zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, ValueError, KeyError, RuntimeError, struct.error,
    OverflowError,
)  # fmt: skip


@dataclass(frozen=True)
class ArrayHeader:
    """What a file says of an array.

    Attributes:
        name: name of the array.
        dtype: element type, in the file's byte order.
        shape: all axes, as they are stored.
        fortran: whether the first axis varies fastest in the file.
        axis: that of the samples; None: all of it is one sample.
        offset: bytes before its first element, where the file holds it plainly.
        unnamed: the element type as the file spells it, where NumPy has none of that name; `dtype` says nothing then.
        checksum: of its bytes, where the file holds one that reading them is held to.
    """

    name: str
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    fortran: bool
    axis: int | None = 0
    offset: int = 0
    unnamed: str = ""
    checksum: str = ""

    @property
    def nbytes(self) -> int:
        """Bytes of all elements."""
        return self.dtype.itemsize * math.prod(self.shape)

    @property
    def samples(self) -> int:
        """How many there are; none in a scalar that is to have some."""
        if self.axis is None:
            return 1
        return self.shape[self.axis] if self.axis < len(self.shape) else 0

    @property
    def row(self) -> tuple[int, ...]:
        """Shape of one sample."""
        return row_of(self.shape, self.axis)

    @property
    def streams(self) -> bool:
        """Whether samples lie one after the other in the file."""
        if self.fortran and len(self.shape) > 1 and 0 not in self.shape:
            return False
        return self.axis is None or math.prod(self.shape[: self.axis]) == 1


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


class RowReader(Protocol):
    """Reads an array from its first sample to its last."""

    def take(self, count: int) -> Array:
        """The next `count` samples, in native byte order. Raises InvalidInput where the file ends before."""
        ...


class Format(Protocol):
    """A format of files whose arrays are read where they lie."""

    def headers(self, file: IO[bytes], name: str) -> dict[str, ArrayHeader]:
        """Headers of every array in a seekable file, by name; `name` is what to call it in a sentence.

        Raises:
            InvalidInput: it is no such file, or corrupt.
        """
        ...

    def rows(
        self, path: Path, headers: Mapping[str, ArrayHeader], name: str, workdir: Path
    ) -> AbstractContextManager[dict[str, RowReader]]:
        """Readers of the wanted arrays, all from their first sample; `workdir` takes what must be rearranged."""
        ...

    def verify(self, path: Path, name: str, arrays: Iterable[str]) -> None:
        """Read arrays to their ends, where checksums are, if the format has some.

        Raises:
            InvalidInput: a checksum does not match.
        """
        ...


SMALL: Final = 256 << 10
"""Bytes of samples that are read at once, where a batch has fewer."""


class StreamedRows:
    """Samples in the order of the file, read as they are needed."""

    def __init__(self, stream: IO[bytes], header: ArrayHeader) -> None:
        """Read from where the stream is."""
        self._stream = stream
        self._header = header

    def take(self, count: int) -> Array:
        """See `RowReader`."""
        out = np.empty((count, *self._header.row), self._header.dtype)
        view = out.reshape(-1).view(np.uint8).data if out.size else memoryview(bytearray())
        done = 0
        while done < len(view):
            chunk = self._stream.read(min(len(view) - done, CHUNK))
            if not chunk:
                raise EOFError(f"array {self._header.name} ends before its last sample")
            view[done : done + len(chunk)] = chunk
            done += len(chunk)
        return _native(out)


class MappedRows:
    """Samples that do not lie one after the other, gathered from a file that holds the array plainly.

    The mapping is opened anew for every take, so that pages it touched do not stay in memory.
    """

    def __init__(self, path: Path, header: ArrayHeader, offset: int = 0) -> None:
        """Read an array that begins `offset` bytes into a file."""
        self._path, self._header, self._offset = path, header, offset
        self._next = 0

    def take(self, count: int) -> Array:
        """See `RowReader`."""
        header, start = self._header, self._next
        self._next += count
        if not math.prod(header.shape):
            return np.empty((count, *header.row), header.dtype.newbyteorder("="))
        order: Literal["F", "C"] = "F" if header.fortran else "C"
        bits = np.dtype(f"V{header.dtype.itemsize}") if header.dtype.kind == "V" else header.dtype
        mapped = np.memmap(self._path, bits, "r", self._offset, header.shape, order)
        rows = mapped[None] if header.axis is None else np.moveaxis(mapped, header.axis, 0)[start : start + count]
        return _native(np.array(rows, order="C").view(header.dtype))


def _native(array: Array) -> Array:
    return array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("="))
