"""Answers of one subject: their digests, whether two are the same bits, and where two differ."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from assay_api.screening import Difference
from assay_runner.tensors import Array, Arrays

FIRST: Final = 8
"""Indices that a difference names."""
DIGITS: Final = 32


def digest(arrays: Arrays) -> str:
    """Digest of tensors by name: names, element types, shapes and bits."""
    found = hashlib.sha256()
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        found.update(f"{name}\0{array.dtype.name}\0{array.shape}\0".encode("utf-8", "surrogatepass"))
        found.update(_bytes(array).data)
    return found.hexdigest()[:DIGITS]


def same(one: Arrays, other: Arrays) -> bool:
    """Whether two answers have the same tensors in the same bits: NaN equals NaN, and 0 is not -0."""
    return one.keys() == other.keys() and all(_same(one[name], other[name]) for name in one)


def differences(which: int, right: Arrays, given: Arrays) -> tuple[Difference, ...]:
    """Where an answer differs from the right one, tensor by tensor.

    Args:
        which: the input.
        right: what counts as right.
        given: the other answer.
    """
    found = []
    for name in sorted(right.keys() | given.keys()):
        if name not in right or name not in given or right[name].shape != given[name].shape:
            size = int((right if name in right else given)[name].size)
            found.append(Difference(input=which, tensor=name, elements=size, of=size))
        elif not _same(right[name], given[name]):
            found.append(_difference(which, name, right[name], given[name]))
    return tuple(found)


def period(places: NDArray[np.int64]) -> int | None:
    """The distance of places, ascending, that is the same throughout; None for fewer than three, and for neighbours."""
    steps = np.unique(np.diff(places))
    return int(steps[0]) if places.size >= 3 and steps.size == 1 and steps[0] > 1 else None


def _same(one: Array, other: Array) -> bool:
    if one.dtype != other.dtype or one.shape != other.shape:
        return False
    return bool(np.array_equal(_bytes(np.ascontiguousarray(one)), _bytes(np.ascontiguousarray(other))))


def _difference(which: int, name: str, right: Array, given: Array) -> Difference:
    if right.dtype != given.dtype:
        return Difference(input=which, tensor=name, elements=right.size, of=right.size)
    flips = _words(right) ^ _words(given)
    places = np.flatnonzero(flips)
    mask = int(np.bitwise_or.reduce(flips))
    return Difference(
        input=which,
        tensor=name,
        elements=places.size,
        of=right.size,
        first=tuple(int(place) for place in places[:FIRST]),
        bits=tuple(bit for bit in range(mask.bit_length()) if mask >> bit & 1),
        period=period(places),
        max_abs=_most(right.reshape(-1)[places], given.reshape(-1)[places]),
    )


def _most(right: Array, given: Array) -> float | None:
    if right.dtype.kind == "V":
        return None
    with np.errstate(all="ignore"):
        most = float(np.max(np.abs(right.astype(np.float64) - given.astype(np.float64)), initial=0.0))
    return most if math.isfinite(most) else None


def _words(array: Array) -> NDArray[Any]:
    """Elements as whole numbers of their own width, flat."""
    return np.ascontiguousarray(array).reshape(-1).view(f"u{array.dtype.itemsize}")


def _bytes(array: Array) -> NDArray[np.uint8]:
    return array.reshape(-1).view(np.uint8)


def keep(file: Path, arrays: Arrays) -> None:
    """Write an answer; `kept` reads it again."""
    names = sorted(arrays)
    tensors: dict[str, Any] = {f"tensor{index}": arrays[name] for index, name in enumerate(names)}
    np.savez(file, names=np.array(names, dtype=np.str_), **tensors)


def kept(file: Path) -> Arrays:
    """An answer that was written; element types that numpy does not know come as bits."""
    with np.load(file, allow_pickle=False) as found:
        return {str(name): found[f"tensor{index}"] for index, name in enumerate(found["names"])}


def counted(answers: Mapping[str, int]) -> str:
    """The commonest of some digests; of equally common ones the first by its letters."""
    return min(answers, key=lambda each: (-answers[each], each))
