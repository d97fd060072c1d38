"""Golden's tensors on disk, for trials to come: read back by mapping, so that memory does not grow with them."""

from __future__ import annotations

from collections.abc import Collection
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


class TensorStore:
    """One file per part of the dataset, as long as the budget lasts; what does not fit is not kept."""

    def __init__(self, folder: Path, budget: int) -> None:
        """Keep at most `budget` bytes below a folder, which is made when first needed."""
        self._folder, self._left = folder, budget
        self._places: dict[Part, dict[str, _Place]] = {}

    def get(self, part: Part, names: Collection[str]) -> dict[str, Array] | None:
        """The tensors of these names, read-only; None where one of them is not kept."""
        places = self._places.get(part)
        if places is None or not places.keys() >= set(names):
            return None
        path = self._file(part)
        # A file without bytes cannot be mapped.
        raw = np.asarray(np.memmap(path, np.uint8, "r")) if path.stat().st_size else np.zeros(0, np.uint8)
        return {name: _array(raw, places[name]) for name in names}

    def put(self, part: Part, tensors: Arrays) -> None:
        """Keep the tensors of a part, in place of what was kept of it, if the budget lasts."""
        size = sum(_room(array) for array in tensors.values())
        freed = self._file(part).stat().st_size if part in self._places else 0
        if size > self._left + freed:
            return
        try:
            self._places[part] = self._written(part, tensors)
            self._left += freed - size
        except OSError:
            # A full disk costs time: what is not kept is computed again.
            self._left = 0
            self._places.pop(part, None)

    def _written(self, part: Part, tensors: Arrays) -> dict[str, _Place]:
        self._folder.mkdir(parents=True, exist_ok=True)
        places: dict[str, _Place] = {}
        beside = self._file(part).with_suffix(".new")
        try:
            with beside.open("wb") as file:
                for name, array in tensors.items():
                    places[name] = _Place(file.tell(), array.dtype, array.shape)
                    # Not ascontiguousarray, which gives a tensor without axes one.
                    file.write(np.asarray(array, order="C").data if array.dtype.kind in "biuf" else array.tobytes())
                    file.write(b"\0" * (-file.tell() % ALIGNED))
            # A mapping that is still read keeps the file that it has.
            beside.replace(self._file(part))
        finally:
            beside.unlink(missing_ok=True)
        return places

    def _file(self, part: Part) -> Path:
        return self._folder / f"{part[0]}-{part[1]}.tensors"


def _room(array: Array) -> int:
    return array.nbytes + -array.nbytes % ALIGNED


def _array(raw: Array, place: _Place) -> Array:
    size = int(np.prod(place.shape, dtype=np.int64)) * place.dtype.itemsize
    return raw[place.offset : place.offset + size].view(place.dtype).reshape(place.shape)
