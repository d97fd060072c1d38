"""Golden's tensors on disk, for trials to come: read back by mapping, so that memory does not grow with them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from assay_runner.tensors import Array, Arrays

ALIGNED = 64
"""Bytes: arrays begin where any vector instruction may read them."""

Part = tuple[int, int]
"""First sample and samples."""


class _Place(NamedTuple):
    offset: int
    dtype: np.dtype[Any]
    shape: tuple[int, ...]


@dataclass(frozen=True)
class _Kept:
    """What is kept of a part: the names that were asked for, those that came, and bytes."""

    asked: frozenset[str]
    places: dict[str, _Place]
    size: int


class TensorStore:
    """One file per part of the dataset, as long as the budget lasts; what is not kept, or lost, is computed again."""

    def __init__(self, folder: Path, budget: int) -> None:
        """Keep at most `budget` bytes below a folder, which is made when first needed."""
        self._folder, self._left = folder, budget
        self._kept: dict[Part, _Kept] = {}

    def asked(self, part: Part) -> frozenset[str]:
        """Names that were asked for of a part; what golden did not give of them it never gives."""
        kept = self._kept.get(part)
        return kept.asked if kept else frozenset()

    def get(self, part: Part, names: Collection[str]) -> dict[str, Array] | None:
        """The tensors of these names that golden gives, read-only; None where one of them was not asked for."""
        kept = self._kept.get(part)
        if kept is None or not kept.asked >= set(names):
            return None
        try:
            # A file without bytes cannot be mapped.
            raw = np.asarray(np.memmap(self._file(part), np.uint8, "r")) if kept.size else np.zeros(0, np.uint8)
        except (OSError, ValueError):
            self._forget(part)
            return None
        return {name: _array(raw, kept.places[name]) for name in names if name in kept.places}

    def put(self, part: Part, names: Collection[str], tensors: Arrays) -> None:
        """Keep what was asked for of a part, in place of what was kept of these samples, if the budget lasts."""
        size = sum(_room(array) for array in tensors.values())
        for other in [other for other in self._kept if _overlap(part, other)]:
            self._forget(other)
        if size > self._left:
            return
        try:
            self._kept[part] = _Kept(frozenset(names), self._written(part, tensors), size)
            self._left -= size
        except OSError:
            # A full disk costs time: what is not kept is computed again.
            self._left = 0

    def _written(self, part: Part, tensors: Arrays) -> dict[str, _Place]:
        self._folder.mkdir(parents=True, exist_ok=True)
        places: dict[str, _Place] = {}
        path = self._file(part)
        try:
            with path.open("wb") as file:
                for name, array in tensors.items():
                    places[name] = _Place(file.tell(), array.dtype, array.shape)
                    # Not ascontiguousarray, which gives a tensor without axes one.
                    file.write(np.asarray(array, order="C").data if array.dtype.kind in "biuf" else array.tobytes())
                    file.write(b"\0" * (-file.tell() % ALIGNED))
        except OSError:
            path.unlink(missing_ok=True)
            raise
        return places

    def _forget(self, part: Part) -> None:
        """Give the room of a part back; who still reads a mapping of its file has it until then."""
        self._left += self._kept.pop(part).size
        self._file(part).unlink(missing_ok=True)

    def _file(self, part: Part) -> Path:
        return self._folder / f"{part[0]}-{part[1]}.tensors"


def _overlap(one: Part, other: Part) -> bool:
    return one[0] < other[0] + other[1] and other[0] < one[0] + one[1]


def _room(array: Array) -> int:
    return array.nbytes + -array.nbytes % ALIGNED


def _array(raw: Array, place: _Place) -> Array:
    size = int(np.prod(place.shape, dtype=np.int64)) * place.dtype.itemsize
    return raw[place.offset : place.offset + size].view(place.dtype).reshape(place.shape)
