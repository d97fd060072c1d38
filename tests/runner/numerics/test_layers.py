"""How much of a tensor's error starts at it, whatever part of the dataset its operation could be run on."""

from __future__ import annotations

import numpy as np
import pytest

from assay_runner.evidence import Site
from assay_runner.passes.counts import Counts
from assay_runner.passes.layers import layer_errors
from assay_runner.statistics.blocks import Sums
from assay_runner.tensors import Batch
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
