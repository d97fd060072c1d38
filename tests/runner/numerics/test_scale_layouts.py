"""Where scales lie is told from magnitudes alone: in any layout of boxes and scores, and of nothing else."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay_runner.statistics.layouts import Layout, layout
from assay_runner.statistics.peaks import Peaks
from assay_runner.statistics.scales import Cut, Part
from assay_runner.tensors import Array


def large(found: Layout, shape: tuple[int, ...]) -> Array:
    """Which elements of a sample a layout takes for those of the largest scale."""
    marked = np.arange(np.prod(shape)).reshape(1, *shape)
    parts = [Part(*scale[0], True, scale[1:]) for scale in found.scales]
    cut = Cut(0 if found.axis is None else found.axis + 1, tuple(parts), found.period)
    flags = np.zeros(marked.size, np.bool_)
    flags[cut.taken(marked)[0].reshape(-1)] = True
    return flags.reshape(shape)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    anchors=st.integers(8, 40),
    boxes=st.integers(1, 6),
    scores=st.integers(1, 90),
    way=st.sampled_from(["last", "first", "interleaved", "in blocks", "levels"]),
    scale=st.sampled_from([640.0, 4096.0]),
    seed=st.integers(0, 1000),
)
def test_boxes_are_found_in_any_layout(
    anchors: int, boxes: int, scores: int, way: str, scale: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    sizes = (6, anchors, boxes), (6, anchors, scores)
    joined = np.concatenate([rng.uniform(0.1, 1, sizes[0]) * scale, rng.uniform(0, 1, sizes[1])], axis=2)
    wanted = np.broadcast_to(np.arange(boxes + scores) < boxes, joined.shape[1:])
    if way in ("first", "in blocks"):
        joined, wanted = joined.transpose(0, 2, 1), wanted.T
    if way == "levels":
        first, second = anchors // 2, anchors - anchors // 2
        rows = [slice(0, first), slice(first, first + second)]
        joined = np.concatenate([joined[:, part].transpose(0, 2, 1).reshape(6, -1) for part in rows], axis=1)
        wanted = np.concatenate([wanted[part].T.reshape(-1) for part in rows])
    if way in ("interleaved", "in blocks"):
        joined, wanted = joined.reshape(6, -1), wanted.reshape(-1)
    found = layout(np.abs(joined).max(axis=0), range(joined.ndim - 1))
    assert found is not None
    assert (large(found, joined.shape[1:]) == wanted).all()


@pytest.mark.parametrize("seed", range(20))
def test_sizes_that_spread_without_order_are_one_scale(seed: int) -> None:
    """Of features some are large, and one is far larger, as of transformers."""
    rng = np.random.default_rng(seed)
    sizes = np.exp(rng.normal(size=256)) * 10
    sizes[rng.integers(256)] = 30 * np.median(sizes)
    for shape in ((256,), (4, 64), (16, 16)):
        axes = range(len(shape))
        assert layout(sizes.reshape(shape), axes) is None


def test_rare_classes_are_one_scale() -> None:
    rng = np.random.default_rng(0)
    scores = np.exp(6 * rng.normal(size=(50, 1000)))
    peaks = (scores / scores.sum(axis=1, keepdims=True)).max(axis=0)
    assert peaks.max() > 1e3 * peaks.min()
    assert layout(peaks, {0}) is None
    assert layout(20 * peaks, {0}) is None


def test_metres_angles_and_scores_fall_apart_without_a_gap() -> None:
    row = np.array([50, 50, 8, 5, 2, 2, 3.14, 10, 1])
    found = layout(row, {0})
    assert found is not None
    assert found.scales == (((0, 3), (7, 8)), ((3, 7), (8, 9)))
    assert layout(row[row > 2], {0}) is None


def seen(*batches: Sequence[Sequence[float]] | Array) -> Peaks:
    peaks = Peaks()
    for batch in batches:
        peaks.add(np.asarray(batch, np.float32))
    return peaks


def test_peaks_are_of_all_samples() -> None:
    peaks = seen([[1, -5], [2, 3]], [[-4, np.nan]], [[np.inf, 0]])
    assert peaks.largest is not None
    assert peaks.largest.tolist() == [4, 5]
    assert seen([[1, 9], [2, 9]]).varying == 2
    assert (seen().largest, seen().varying) == (None, 0)


def test_lengths_that_differ_are_looked_at_as_one() -> None:
    rows = seen(np.full((1, 2, 3), 2), np.full((1, 5, 3), -7))
    assert rows.largest is not None
    assert rows.largest.tolist() == [[7, 7, 7]]
    assert seen(np.ones((1, 2, 3)), np.ones((1, 2))).largest is None
