"""Arithmetic on weights, piece by piece: a piece stays in a core's cache from one operation to the next.

Whole weights would go through memory once for every operation, and take as much of it again for every result between.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from types import EllipsisType
from typing import Final

from assay_runner.cores import cores

PIECE: Final = 1 << 16
"""Elements of a piece."""
MANY: Final = 1 << 22
"""Elements from which on every core works on a share of the pieces; NumPy leaves the interpreter to the others."""

Part = tuple[slice | EllipsisType, ...]


def piecewise(shape: Sequence[int], work: Callable[[Part], None]) -> None:
    """Do the work for every piece of an array, in no order.

    Args:
        shape: of the array.
        work: given where a piece is; no two pieces overlap.
    """
    parts = list(pieces(shape))
    shares = min(cores(), len(parts)) if math.prod(shape) >= MANY else 1
    if shares < 2:
        _each(parts, work)
        return
    with ThreadPoolExecutor(shares, "piece") as side_by_side:
        done = [side_by_side.submit(_each, parts[first::shares], work) for first in range(shares)]
        for each in done:
            each.result()


def pieces(shape: Sequence[int]) -> Iterator[Part]:
    """Where an array of this shape is cut along its first axis; a row that is larger than a piece is one."""
    if not shape:
        yield (...,)
        return
    rows = max(1, PIECE // max(1, math.prod(shape[1:])))
    yield from ((slice(first, first + rows),) for first in range(0, shape[0], rows))


def _each(parts: Sequence[Part], work: Callable[[Part], None]) -> None:
    for part in parts:
        work(part)
