"""The largest magnitude of each element of an output over all samples: what scale stands at which place of it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from assay_runner.statistics.blocks import plain
from assay_runner.tensors import Array


class Peaks:
    """Gathers them, sample by sample."""

    def __init__(self) -> None:
        """Nothing was seen yet."""
        self._high: Array | None = None
        self._low: Array | None = None
        self._known = True

    @property
    def largest(self) -> Array | None:
        """Magnitudes of the shape of a sample, with length 1 where the samples' lengths differ.

        None where nothing was seen, or samples have not as many axes as others.
        """
        if self._high is None or self._low is None or not self._known:
            return None
        return np.maximum(self._high, -self._low)

    @property
    def varying(self) -> float:
        """The largest of an element that is not one number in all samples, as what fills masked places is; or 0."""
        if self._high is None or self._low is None or self.largest is None:
            return 0.0
        return float(self.largest[self._high != self._low].max(initial=0.0))

    def add(self, rows: Array) -> None:
        """Take samples in.

        Args:
            rows: (samples, ...), real numbers; what is not finite is left out.
        """
        if not self._known or not rows.size:
            return
        rows = plain(rows)
        high, low = rows.max(axis=0), rows.min(axis=0)
        if not (np.isfinite(high).all() and np.isfinite(low).all()):
            clean = np.where(np.isfinite(rows), rows, 0)
            high, low = clean.max(axis=0), clean.min(axis=0)
        if self._high is None or self._low is None:
            self._high, self._low = np.asarray(high), np.asarray(low)
        elif self._high.ndim != high.ndim:
            self._known = False
        else:
            self._high = _joined(np.maximum, self._high, np.asarray(high))
            self._low = _joined(np.minimum, self._low, np.asarray(low))


def _joined(extreme: Callable[[Array, Array], Array], one: Array, other: Array) -> Array:
    """Element by element; along axes of other lengths as one."""
    unlike = tuple(axis for axis in range(one.ndim) if one.shape[axis] != other.shape[axis])
    if not unlike:
        return extreme(one, other)
    reduce = np.max if extreme is np.maximum else np.min
    return extreme(reduce(one, axis=unlike, keepdims=True), reduce(other, axis=unlike, keepdims=True))
