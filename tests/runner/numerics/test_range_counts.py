"""Counts of what FP16 cannot hold, against what numpy says of the same values."""

from __future__ import annotations

import numpy as np
import pytest

from assay_runner.statistics.blocks import BLOCK
from assay_runner.statistics.ranges import NORMAL, OVERFLOW, UNDERFLOW, RangeCounts
from assay_runner.tensors import Array

EDGES = [
    side
    for edge in (UNDERFLOW, NORMAL, OVERFLOW, 0.0)
    for side in (edge, *(np.nextafter(np.float32(edge), np.float32(to)) for to in (-np.inf, np.inf)))
]
SPECIAL = [*EDGES, *(-edge for edge in EDGES), np.nan, np.inf, -np.inf, 1e-45, 3e38]


def asserted(array: Array) -> RangeCounts:
    counts = RangeCounts()
    overflows = counts.add(array)
    wide = array.astype(np.float64).reshape(-1)
    sizes = np.abs(wide[np.isfinite(wide)])
    assert counts.elements == sizes.size
    assert counts.zeros == np.sum(sizes == 0)
    assert counts.underflow == np.sum((sizes > 0) & (sizes <= UNDERFLOW))
    assert counts.subnormal == np.sum((sizes > UNDERFLOW) & (sizes < NORMAL))
    assert counts.overflow == np.sum(sizes >= OVERFLOW)
    assert counts.smallest == sizes[sizes > 0].min(initial=np.inf)
    assert overflows is bool(counts.overflow)
    return counts


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("seed", range(12))
def test_of_any_values(kind: type[np.floating], seed: int) -> None:
    rng = np.random.default_rng(seed)
    with np.errstate(over="ignore"):
        array = (rng.standard_normal(3000) * 10 ** rng.uniform(-12, 8, 3000)).astype(kind)
        array[rng.integers(0, 3000, 60)] = rng.choice(SPECIAL, 60).astype(kind)
    asserted(array)
    asserted(np.maximum(array, 0))
    asserted(-np.abs(array))


@pytest.mark.parametrize("value", [0.0, -0.0, np.nan, UNDERFLOW, -UNDERFLOW, NORMAL, 1.0])
def test_of_one_value(value: float) -> None:
    asserted(np.full(100, value, np.float32))


def test_of_several_blocks() -> None:
    array = np.zeros(2 * BLOCK + 5, np.float32)
    array[[3, BLOCK + 1, -1]] = [1e-9, 1e-6, -7e4]
    assert asserted(array).largest == np.float32(-7e4)
