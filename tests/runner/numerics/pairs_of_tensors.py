"""Pairs of tensors that are hard to compare, and what numpy says of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import ml_dtypes
import numpy as np

from assay_runner.passes.counts import Counts
from assay_runner.statistics.figures import Figures
from assay_runner.tensors import Array, Batch

TYPES: dict[str, np.dtype[Any]] = {
    "fp32": np.dtype(np.float32),
    "fp16": np.dtype(np.float16),
    "bf16": np.dtype(ml_dtypes.bfloat16),
    "fp64": np.dtype(np.float64),
    "fp8": np.dtype(ml_dtypes.float8_e4m3fn),
}
LINE = np.arange(90, dtype=np.float32).reshape(3, 30)
COUNTED = ("samples", "nan", "positive", "negative", "first", "own")
SPECIAL = (np.nan, np.inf, -np.inf, 0.0, -0.0, 2.0**-24, 2.0**-9, 448.0, 65504.0)


@dataclass(frozen=True)
class Pair:
    """One tensor of a batch, by golden and by the candidate."""

    golden: Array | None
    candidate: Array
    batch: Batch
    stacked: bool = True
    """Whether the samples are along the first axis."""

    @property
    def axis(self) -> int | None:
        return 0 if self.stacked else None

    @property
    def rows(self) -> int:
        """As reductions take them."""
        return self.batch.fed if self.stacked else 0


def pair(seed: int, types: tuple[str, str], shape: tuple[int, ...], rows: int, count: int, special: float = 0) -> Pair:
    """Random tensors; `special`: share of elements of each that are in SPECIAL, half of them in both."""
    random = np.random.default_rng(seed)
    golden = random.standard_normal(shape) * 10 ** random.uniform(-3, 2, shape)
    candidate = golden + random.standard_normal(shape) * 1e-2
    for where in (random.random(shape) < special / 2, random.random(shape) < special / 2):
        values = random.choice(SPECIAL, size=shape)
        golden = np.where(where, values, golden)
        candidate = np.where(where, values, candidate)
    candidate = np.where(random.random(shape) < special / 2, random.choice(SPECIAL, size=shape), candidate)
    with np.errstate(over="ignore", invalid="ignore"):
        first, second = golden.astype(TYPES[types[0]]), candidate.astype(TYPES[types[1]])
    return Pair(first, second, batch(0, rows, count))


def batch(start: int, rows: int, count: int) -> Batch:
    """A batch of `count` samples, padded to `rows`."""
    return Batch(start, count, {"x": np.zeros((rows, 1), np.float32)})


def cases() -> Iterator[tuple[str, Pair]]:
    """By name: types, odd sizes, padding, values that are not finite, tensors that have no samples."""
    for number, first in enumerate(TYPES):
        for second in ("fp32", "fp16", "bf16", "fp8") if first == "fp32" else (first, "fp16"):
            yield f"{first}-{second}", pair(number, (first, second), (6, 37, 29), 6, 6, 0.01)
    both = ("fp32", "fp16")
    yield "finite", pair(1, both, (4, 1000), 4, 4)
    yield "padding", pair(2, both, (8, 333), 8, 5, 0.02)
    yield "padding not finite", pair(3, both, (8, 5), 8, 3, 0.9)
    yield "one element", pair(4, both, (1,), 1, 1)
    yield "scalar", replace(pair(5, both, (), 4, 3), stacked=False)
    yield "no samples", replace(pair(6, both, (7, 11), 4, 3, 0.2), stacked=False)
    yield "no samples, as long as the batch counts", replace(pair(7, both, (3, 11), 4, 3, 0.2), stacked=False)
    yield "no samples, as long as the batch", replace(pair(7, both, (4, 11), 4, 3, 0.2), stacked=False)
    yield "many rows", pair(8, both, (3001, 1), 3001, 3001, 0.05)
    yield "all NaN", Pair(np.ones((3, 50), np.float32), np.full((3, 50), np.nan, np.float16), batch(0, 3, 3))
    for rows in (104, 105):  # With four threads a block has marks for 104.
        yield f"{rows} rows", pair(rows, both, (rows, 30), rows, rows, 0.05)
    some = np.random.default_rng(10).choice([np.nan, np.inf, -np.inf], (5, 777))
    yield "nothing finite", Pair(np.ones((5, 777), np.float32), some.astype(np.float16), batch(0, 5, 5))
    yield "golden NaN", Pair(np.full((3, 50), np.nan, np.float32), np.ones((3, 50), np.float16), batch(0, 3, 3))
    yield "equal", Pair(LINE, LINE.copy(), batch(0, 3, 3))
    yield "empty", Pair(np.empty((3, 0), np.float32), np.empty((3, 0), np.float16), batch(0, 3, 3))
    yield "huge", Pair(np.array([[1e200, 1.0]]), np.array([[-1e200, 1.0]]), batch(0, 1, 1))
    yield "no golden", Pair(None, pair(9, both, (4, 50), 4, 4, 0.2).candidate, batch(0, 4, 4))
    yield (
        "another shape",
        Pair(np.ones((4, 5), np.float32), pair(9, both, (4, 50), 4, 3, 0.2).candidate, batch(0, 4, 3)),
    )


def expected(pairs: Sequence[Pair]) -> Figures:
    """What the code that counts in host memory says."""
    counts = Counts()
    for one in pairs:
        golden, candidate = _wide(one.golden), _wide(one.candidate)
        assert candidate is not None
        counts.add(candidate, one.batch, golden, one.axis)
    return counts.figures()


def _wide(array: Array | None) -> Array | None:
    """FP8 as float32: the passes of the host know no FP8."""
    return array.astype(np.float32) if array is not None and array.dtype.name.startswith("float8") else array


def check(found: Figures, wanted: Figures) -> None:
    """Assert that both say the same: counts and extremes exactly, sums as far as their order goes."""
    for name in ("low", "high", "golden_low", "golden_high", *COUNTED):
        assert getattr(found, name) == getattr(wanted, name), name
    sums = found.sums
    assert (sums.elements, sums.bad, sums.largest) == (wanted.sums.elements, wanted.sums.bad, wanted.sums.largest)
    if wanted.sums.power:
        # The kernel scales nothing: squares beyond float64 are the worst there is, and nothing passes by them.
        assert sums.snr == -np.inf
        return
    for name in ("signal", "noise", "cross"):
        scale = np.sqrt(wanted.sums.signal * wanted.sums.noise) if name == "cross" else 0
        np.testing.assert_allclose(getattr(sums, name), getattr(wanted.sums, name), rtol=1e-12, atol=1e-12 * scale)
