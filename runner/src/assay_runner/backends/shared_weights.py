"""Weights of gigabytes, mapped once for all sessions that are open, and in memory for the one that runs.

ONNX Runtime maps external data itself, but each session for itself, and by default it lays out a second copy in memory
for its kernels: an audit opens a handful of sessions of one model. From `LARGE` bytes on, sessions are given one
mapping of the file, and are to lay out nothing: a run of a few samples reads the weights once either way. Golden and a
candidate take turns in running; what the other has mapped meanwhile goes back to the page cache, from where it comes
at no cost worth speaking of.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final
from weakref import WeakValueDictionary

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray
from onnx import helper

from assay_runner.graphs.weights import external_entries, external_offset, is_outside
from assay_runner.models.outline import read_outline, stored_bytes

LARGE: Final = 256 << 20
"""Bytes of a file of weights from which on it is shared."""
LEAST: Final = 1 << 20
"""Bytes of a weight that is worth it."""
_KINDS: Final = frozenset({"float32", "float64", "float16", "int8", "uint8", "int16", "int32", "int64"})


class _File:
    """All of a file, mapped."""

    def __init__(self, path: Path) -> None:
        with path.open("rb") as file:
            self.memory = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        self.bytes = np.frombuffer(self.memory, np.uint8)

    def rest(self) -> None:
        """Hold none of it in this process's memory until it is read again."""
        self.memory.madvise(mmap.MADV_DONTNEED)


_MAPPED: WeakValueDictionary[tuple[int, ...], _File] = WeakValueDictionary()


class Shared:
    """The large weights of a session; to be kept for as long as it is open."""

    def __init__(self, path: Path, options: ort.SessionOptions) -> None:
        """Give a session to be opened, of the model at `path`, its large weights; `options` are its own, changed."""
        self._files: dict[tuple[int, ...], _File] = {}
        self._values: list[ort.OrtValue] = []
        if not any(file.stat().st_size >= LARGE for file in path.parent.rglob("*") if file.is_file()):
            return
        for tensor, array in self._large(path):
            self._values.append(ort.OrtValue.ortvalue_from_numpy(array))
            options.add_initializer(tensor.name, self._values[-1])

    def __bool__(self) -> bool:
        """Whether there are any."""
        return bool(self._values)

    def wake(self) -> None:
        """The session is about to run: let nobody else's weights lie in memory beside its own."""
        if self._files:
            for key, file in list(_MAPPED.items()):
                if key not in self._files:
                    file.rest()

    def _large(self, path: Path) -> Iterator[tuple[onnx.TensorProto, NDArray[Any]]]:
        graph = read_outline(path).graph
        fed = {given.name for given in graph.input}  # In old formats weights are inputs too, with a default.
        for tensor in graph.initializer:
            if not is_outside(tensor) or tensor.name in fed:
                continue
            dtype = helper.tensor_dtype_to_np_dtype(tensor.data_type)
            size, offset = stored_bytes(tensor), external_offset(tensor)
            if dtype.name not in _KINDS or size < LEAST or offset % dtype.itemsize:
                continue
            whole = self._mapped(path.parent / external_entries(tensor)["location"])
            if whole is not None:
                yield tensor, whole.bytes[offset : offset + size].view(dtype).reshape(tuple(tensor.dims))

    def _mapped(self, file: Path) -> _File | None:
        """All of a file; None of a small one."""
        status = file.stat()
        if status.st_size < LARGE:
            return None
        key = status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns
        found = self._files.get(key) or _MAPPED.get(key) or _File(file)
        self._files[key] = _MAPPED[key] = found
        return found
