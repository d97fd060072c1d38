"""Arrays of a shard of golden outputs, written and read one after another, as np.savez and np.load would.

A batch of a small model is a few hundred bytes, and to parse the head of its array takes longer than to run the model.
Heads of one shape and type are alike, so each is made, and understood, once.
"""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Callable
from functools import lru_cache
from typing import IO, Any, BinaryIO, Final

import numpy as np
from numpy.lib import format as npy

from assay_runner.tensors import Array

_LOCAL_HEAD: Final = 30
"""Bytes of a zip member's own head, before its name and what follows; where both lengths stand in it."""
_LENGTHS: Final = slice(26, 30)


def write_member(member: IO[bytes], array: Array) -> None:
    """Write an array as .npy."""
    array = np.asarray(array, order="C")
    member.write(_head(array.shape, array.dtype))
    member.write(array.reshape(-1).view(np.uint8).data if array.size else b"")


def members(file: BinaryIO, archive: zipfile.ZipFile) -> Callable[[str], Array]:
    """Reads the array of a name from an archive that `write_member` wrote, and whose bytes were verified.

    Args:
        file: what the archive reads.
        archive: the same, opened.

    Raises:
        EOFError: an array ends too early.
        ValueError: it is none.
    """

    def read(name: str) -> Array:
        entry = archive.getinfo(name)
        file.seek(entry.header_offset)
        before = sum(struct.unpack("<HH", file.read(_LOCAL_HEAD)[_LENGTHS]))
        file.seek(before, io.SEEK_CUR)
        magic = file.read(npy.MAGIC_LEN)
        size = file.read(2 if magic[-2] == 1 else 4)
        shape, dtype = _understood(magic + size + file.read(int.from_bytes(size, "little")))
        array = np.empty(shape, dtype)
        if array.size and file.readinto(array.reshape(-1).view(np.uint8).data) != array.nbytes:  # type: ignore[attr-defined]
            raise EOFError(f"array {name} ends too early")
        return array

    return read


@lru_cache(256)
def _head(shape: tuple[int, ...], dtype: np.dtype[Any]) -> bytes:
    head = io.BytesIO()
    npy.write_array_header_1_0(head, {"descr": npy.dtype_to_descr(dtype), "fortran_order": False, "shape": shape})
    return head.getvalue()


@lru_cache(256)
def _understood(head: bytes) -> tuple[tuple[int, ...], np.dtype[Any]]:
    stream = io.BytesIO(head)
    read = npy.read_array_header_1_0 if npy.read_magic(stream) == (1, 0) else npy.read_array_header_2_0
    shape, fortran, dtype = read(stream)
    if fortran or dtype.hasobject:
        raise ValueError("no array as it is written here")
    return shape, dtype
