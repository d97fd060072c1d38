"""Arrays of a shard of golden outputs, written and read one after another, as np.savez and np.load would.

A batch of a small model is a few hundred bytes, and to parse the head of its array takes longer than to run the model.
Heads of one shape and type are alike, so each is made, and understood, once; and small batches share one.
"""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import IO, Any, BinaryIO, Final

import numpy as np
from numpy.lib import format as npy

from assay_runner.tensors import Array

_LOCAL_HEAD: Final = 30
"""Bytes of a zip member's own head, before its name and what follows; where both lengths stand in it."""
_LENGTHS: Final = slice(26, 30)

STACKED: Final = 256 << 10
"""Bytes of outputs, of one batch or of several together, from which on they wait for no others."""
MOST_STACKED: Final = 4096
"""Batches likewise, which need not have any bytes."""


class Waiting:
    """Outputs of batches in a row, each of one type and shape in all of them, to be written as one array each.

    Attributes:
        batches: how many wait.
        full: whether they are enough to be written.
    """

    def __init__(self) -> None:
        """None waits."""
        self._empty()

    def _empty(self) -> None:
        self.batches, self.full = 0, False
        self._bytes = 0
        self._held: dict[int, list[Array]] = {}
        self._kinds: dict[int, tuple[tuple[int, ...], np.dtype[Any]]] = {}

    def takes(self, outputs: Mapping[int, Array]) -> bool:
        """Whether one more batch, its outputs by their numbers, can be written as one with those that wait."""
        return not self.batches or (not self.full and self._kinds == _kinds(outputs))

    def add(self, outputs: Mapping[int, Array]) -> None:
        """Let a batch wait; a copy of it, unless it is enough alone."""
        if not self.batches:
            self._kinds, self._held = _kinds(outputs), {number: [] for number in outputs}
        self.batches += 1
        self._bytes += sum(array.nbytes for array in outputs.values())
        self.full = self._bytes >= STACKED or self.batches >= MOST_STACKED
        copied = self.batches > 1 or not self.full
        for number, array in outputs.items():
            # Whoever made them may use the memory again.
            self._held[number].append(array.copy() if copied else array)

    def take(self) -> dict[int, Array]:
        """The outputs by their numbers, (batches, ...) each; none waits then."""
        held = self._held.items()
        taken = {number: arrays[0][None] if len(arrays) == 1 else np.stack(arrays) for number, arrays in held}
        self._empty()
        return taken


def _kinds(outputs: Mapping[int, Array]) -> dict[int, tuple[tuple[int, ...], np.dtype[Any]]]:
    return {number: (array.shape, array.dtype) for number, array in outputs.items()}


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
