"""How much of a tensor's error starts at it, whatever part of the dataset its operation could be run on."""

from __future__ import annotations

import numpy as np
import pytest

from assay_runner.passes.counts import Counts
from assay_runner.passes.layers import layer_errors
from assay_runner.statistics.blocks import BLOCK, Sums
from assay_runner.tensors import Batch, Site
from tests.models import random

GOLDEN = random(8, 64)


@pytest.mark.parametrize("rows", [8, 2])
@pytest.mark.parametrize(("local", "share"), [(0.1, 1.0), (0.05, 0.25)])
def test_a_share_does_not_depend_on_how_many_samples_gave_it(rows: int, local: float, share: float) -> None:
    counts, sums = Counts(), Sums()
    counts.add(GOLDEN + np.float32(0.1), Batch(0, 8, {"x": GOLDEN}), GOLDEN, 0)
    sums.add(GOLDEN[:rows], GOLDEN[:rows] + np.float32(local))
    [layer] = layer_errors([Site("y")], {"y": counts.figures()}, {"y": sums}).layers
    assert layer.starts_here == pytest.approx(share, rel=1e-4)


def test_ranges_and_differences_come_of_one_pass_whatever_is_not_finite() -> None:
    golden = random(4, BLOCK)
    candidate = (golden * np.float32(1.01)).astype(np.float32)
    candidate[1, 5], candidate[3, 7], golden[2, 0] = np.inf, np.nan, np.nan
    counts, batch = Counts(), Batch(0, 4, {"x": golden})
    assert not counts.add(candidate, batch, golden, 0)
    there, here = np.isfinite(golden), np.isfinite(candidate)
    assert (counts.golden_low, counts.golden_high) == (golden[there].min(), golden[there].max())
    assert (counts.low, counts.high) == (candidate[here].min(), candidate[here].max())
    assert (counts.samples, counts.nan, counts.positive, counts.own, counts.first) == (2, 1, 1, 2, 1)
    assert counts.sums.bad
