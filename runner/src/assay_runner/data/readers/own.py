"""Readers of the user's own: functions in the runner image, by entry point in the group assay.readers.

An entry point's name is the extension of the files that it reads: `h5 = "my_package:read"` reads files that end in .h5.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Final

import numpy as np

from assay_runner.data.entry_points import loaded, said
from assay_runner.data.readers.reader import File, Parts, Reader, Wanted
from assay_runner.errors import AuditError, InvalidInput
from assay_runner.tensors import Array

GROUP: Final = "assay.readers"
Read = Callable[[Path], Iterable[Mapping[str, Array]]]
"""From a file to its parts, one after the other: arrays by name, of a shard's samples, or of a feed."""


def own_readers() -> tuple[Reader, ...]:
    """Those that are installed, by name.

    Raises:
        InvalidInput: two have the same name.
    """
    found = sorted(entry_points(group=GROUP), key=lambda entry: entry.name)
    values: dict[str, str] = {}
    for entry in found:
        if values.setdefault(entry.name, entry.value) != entry.value:
            both = " and ".join((values[entry.name], entry.value))
            raise InvalidInput(f"reader {entry.name!r} is installed more than once ({both}): remove one of them")
    return tuple(_reader(entry) for entry in {entry.name: entry for entry in found}.values())


def _reader(entry: EntryPoint) -> Reader:
    suffix = f".{entry.name}"
    version = f"{entry.value} {entry.dist.version if entry.dist else ''}"
    takes = lambda name, _: name.endswith(suffix)  # noqa: E731
    return Reader(entry.name, f"{suffix} (by {entry.value})", takes, parts=_parts(entry), version=version)


def _parts(entry: EntryPoint) -> Parts:
    def parts(files: Sequence[File], wanted: Wanted) -> Iterator[Mapping[str, Array]]:
        read = _loaded(entry)
        for file in files:
            try:
                for part in read(file.path):
                    yield {str(name): np.asarray(array) for name, array in part.items()}
            except AuditError:
                raise
            except Exception as error:
                raise InvalidInput(f"reader {entry.name!r} failed on {file.name}: {said(error)}") from error

    return parts


@cache
def _loaded(entry: EntryPoint) -> Read:
    read: Read = loaded(entry, "reader")
    return read
