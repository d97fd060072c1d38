"""The largest magnitude of each element of an output over all samples: what scale stands at which place of it."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

import numpy as np

from assay_runner.statistics.blocks import plain
from assay_runner.statistics.row_sums import SHORT
from assay_runner.tensors import Array

SMALL: Final = 1 << 14
"""Elements of samples that are looked at together."""


class Peaks:
    """Gathers them, sample by sample."""

    def __init__(self) -> None:
        """Nothing was seen yet."""
        self._high: Array | None = None
        self._low: Array | None = None
        self._known = True
        self._waiting: list[Array] = []
        self._held = 0

    @property
    def largest(self) -> Array | None:
        """Magnitudes of the shape of a sample, with length 1 where the samples' lengths differ.

        None where nothing was seen, or samples have not as many axes as others.
        """
        self._settle()
        if self._high is None or self._low is None or not self._known:
            return None
        return np.maximum(self._high, -self._low)

    @property
    def varying(self) -> float:
        """The largest of an element that is not one number in all samples, as what fills masked places is; or 0."""
        largest = self.largest
        if self._high is None or self._low is None or largest is None:
            return 0.0
        return float(largest[self._high != self._low].max(initial=0.0))

    def add(self, rows: Array) -> None:
        """Take samples in.

        Args:
            rows: (samples, ...), real numbers; what is not finite is left out.
        """
        if not self._known or not rows.size:
            return
        rows = plain(rows)
        if self._waiting and self._waiting[0].shape[1:] != rows.shape[1:]:
            self._settle()
        # To look at a few takes as long as to look at thousands.
        self._waiting.append(rows.copy() if rows.size < SMALL else rows)
        self._held += rows.size
        if self._held >= SMALL:
            self._settle()

    def _settle(self) -> None:
        """Look at what waits."""
        waiting, self._waiting, self._held = self._waiting, [], 0
        if waiting:
            self._look(waiting[0] if len(waiting) == 1 else np.concatenate(waiting))

    def _look(self, rows: Array) -> None:
        high, low = _ends(rows)
        if not (np.isfinite(high).all() and np.isfinite(low).all()):
            high, low = _ends(np.where(np.isfinite(rows), rows, 0))
        if self._high is None or self._low is None:
            self._high, self._low = np.asarray(high), np.asarray(low)
        elif self._high.ndim != high.ndim:
            self._known = False
        else:
            self._high = _joined(np.maximum, self._high, np.asarray(high))
            self._low = _joined(np.minimum, self._low, np.asarray(low))


def _ends(rows: Array) -> tuple[Array, Array]:
    """The largest and the least of each element, of samples that have some."""
    if math.prod(rows.shape[1:]) > SHORT:
        return rows.max(axis=0), rows.min(axis=0)
    # NumPy goes through short rows element by element, and through long ones many at once.
    across = np.ascontiguousarray(rows.reshape(len(rows), -1).T)
    return across.max(axis=1).reshape(rows.shape[1:]), across.min(axis=1).reshape(rows.shape[1:])


def _joined(extreme: Callable[[Array, Array], Array], one: Array, other: Array) -> Array:
    """Element by element; along axes of other lengths as one."""
    unlike = tuple(axis for axis in range(one.ndim) if one.shape[axis] != other.shape[axis])
    if not unlike:
        return extreme(one, other)
    reduce = np.max if extreme is np.maximum else np.min
    return extreme(reduce(one, axis=unlike, keepdims=True), reduce(other, axis=unlike, keepdims=True))
