"""Two outputs whose number of rows the data decide, brought to one rank and told apart by their lengths."""

from __future__ import annotations

import numpy as np

from assay_runner.tensors import Array


def same_rank(golden: Array, candidate: Array) -> tuple[Array, Array]:
    """Two outputs of one sample each, of one rank where one of them has an axis less.

    All of an output is a batch of one's, and a single row of it looks like the sample: (1, 3) is a row of three numbers
    where another sample has (1, 2, 3).
    """
    if golden.ndim + 1 == candidate.ndim:
        return np.expand_dims(golden, min(1, golden.ndim)), candidate
    if candidate.ndim + 1 == golden.ndim:
        return golden, np.expand_dims(candidate, min(1, candidate.ndim))
    return golden, candidate


def other_rows(golden: tuple[int, ...], candidate: tuple[int, ...]) -> tuple[str, str]:
    """Where the shapes of a sample's output differ: both lengths; both shapes where that is along several axes."""
    other = [(str(first), str(second)) for first, second in zip(golden, candidate, strict=True) if first != second]
    return other[0] if len(other) == 1 else (str(list(golden)), str(list(candidate)))
