"""Safetensors: eight bytes that tell the length of a JSON header, the header, and then the arrays, each in one piece.

The header is read here and not by the library of that name, which opens files on disk alone: a shard in a bucket is
looked at by ranges, and every element type of ONNX Runtime's is read.
"""

from __future__ import annotations

import io
import json
import math
import struct
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any, Final

import ml_dtypes
import numpy as np

from assay_runner.data.arrays import ArrayHeader, Format, MappedRows, RowReader, StreamedRows, corruption
from assay_runner.data.readers.reader import Reader
from assay_runner.errors import InvalidInput
from assay_runner.stores.regular import open_regular

MOST_HEADER: Final = 4 << 20
"""Bytes of a header that are read, some ten thousand arrays; its own library takes up to 100 MB."""
TYPES: Final[Mapping[str, np.dtype[Any]]] = {
    "BOOL": np.dtype(np.bool_),
    **{f"{kind}{8 * size}": np.dtype(f"<{kind.lower()}{size}") for kind in "IU" for size in (1, 2, 4, 8)},
    **{f"F{8 * size}": np.dtype(f"<f{size}") for size in (2, 4, 8)},
    **{f"C{8 * size}": np.dtype(f"<c{size}") for size in (8, 16)},
    "BF16": np.dtype(ml_dtypes.bfloat16),
    "F8_E4M3": np.dtype(ml_dtypes.float8_e4m3fn),
    "F8_E5M2": np.dtype(ml_dtypes.float8_e5m2),
}  # fmt: skip
_PREFIX: Final = struct.Struct("<Q")


def read_headers(file: IO[bytes], name: str) -> dict[str, ArrayHeader]:
    """Headers of every array in a file, by name.

    Raises:
        InvalidInput: it is no such file, or cut off.
    """
    with corruption(name):
        prefix, size = file.read(_PREFIX.size), file.seek(0, io.SEEK_END)
        if not prefix:
            raise InvalidInput(f"{name} is empty (0 bytes): store it again")
        if len(prefix) < _PREFIX.size:
            raise EOFError("it ends before its header")
        (length,) = _PREFIX.unpack(prefix)
        data = _PREFIX.size + length
        if data > size:
            raise EOFError(f"its header is to have {length} bytes, and the file has {size}")
        if length > MOST_HEADER:
            raise InvalidInput(f"{name} has a header of {length} bytes, and at most {MOST_HEADER} are read: split it")
        file.seek(_PREFIX.size)
        told = _parsed(file.read(length))
        headers = {key: _header(key, entry, data, size) for key, entry in told.items() if key != "__metadata__"}
        _apart(headers.values())
    return headers


def _parsed(text: bytes) -> dict[str, Any]:
    try:
        told = json.loads(text, object_pairs_hook=_once)
    except RecursionError:
        raise ValueError("its header is nested too deeply") from None
    if not isinstance(told, dict):
        raise ValueError("its header is no table of arrays")
    return told


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("its header names an array twice")
    return found


def _header(name: str, entry: Any, start: int, size: int) -> ArrayHeader:
    if not isinstance(entry, dict) or not entry.keys() >= {"dtype", "shape", "data_offsets"}:
        raise ValueError(f"the header tells no type, shape and place of array {name}")
    kind, shape, place = (entry[key] for key in ("dtype", "shape", "data_offsets"))
    if not _counts(shape) or not _counts(place) or len(place) != 2:
        raise ValueError(f"the header tells no shape and place of array {name} in whole numbers")
    begin, end = place
    dtype = TYPES.get(kind) if isinstance(kind, str) else None
    if dtype is None:
        # Of an array that nothing needs that does not matter; of another, its type is told to be wrong.
        return ArrayHeader(name, np.dtype(object), tuple(shape), False)
    if end - begin != dtype.itemsize * math.prod(shape):
        raise ValueError(f"array {name} has {end - begin} bytes, and its shape another number of them")
    if start + end > size:
        raise EOFError(f"array {name} ends before its last sample")
    return ArrayHeader(name, dtype, tuple(shape), False, offset=start + begin)


def _counts(values: Any) -> bool:
    return isinstance(values, list) and all(type(value) is int and value >= 0 for value in values)


def _apart(headers: Iterable[ArrayHeader]) -> None:
    last = 0
    for header in sorted((h for h in headers if h.nbytes and not h.dtype.hasobject), key=lambda h: h.offset):
        if header.offset < last:
            raise ValueError(f"array {header.name} lies on top of another one")
        last = header.offset + header.nbytes


class _Safetensors:
    """`Format`; it has no checksums."""

    def headers(self, file: IO[bytes], name: str) -> dict[str, ArrayHeader]:
        return read_headers(file, name)

    @contextmanager
    def rows(
        self, path: Path, headers: Mapping[str, ArrayHeader], name: str, workdir: Path
    ) -> Iterator[dict[str, RowReader]]:
        readers: dict[str, RowReader] = {}
        with ExitStack() as stack:
            for key, header in headers.items():
                with corruption(name):
                    file = stack.enter_context(open_regular(path, name))
                    file.seek(header.offset)
                streams = header.streams
                readers[key] = StreamedRows(file, header) if streams else MappedRows(path, header, header.offset)
            yield readers

    def verify(self, path: Path, name: str, arrays: Iterable[str]) -> None:
        return


SAFETENSORS: Final[Format] = _Safetensors()
READER: Final = Reader("safetensors", ".safetensors", lambda name, _: name.endswith(".safetensors"), SAFETENSORS)
