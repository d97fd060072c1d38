"""Histograms of the worst tensors: counted right, of the right tensors, from the batches that show the fault."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from assay_runner.checks import Check
from assay_runner.checks.finite import Finite
from assay_runner.checks.layer_drift import LayerDrift
from assay_runner.passes.histograms import MOST
from assay_runner.statistics.magnitudes import LEAST, Magnitudes
from tests.models import Samples, convolutions, layer_norm, mlp, random
from tests.runner.numerics.candidates import measured

SPECIAL = [0.0, -0.0, np.inf, -np.inf, np.nan, 1.0, -1.5, 2.0, 0.5]


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, ml_dtypes.bfloat16])
def test_counts_by_powers_of_two(dtype: Any) -> None:
    values = np.array(SPECIAL + [2.0**-24, 2.0**-133] * (dtype is not np.float16), np.float64).astype(dtype)
    counts = Magnitudes()
    counts.add(values)
    counts.add(random(70_000).astype(dtype))
    wide = np.concatenate([values.astype(np.float64), random(70_000).astype(dtype).astype(np.float64)])
    live = np.abs(wide[np.isfinite(wide) & (wide != 0)])
    assert counts.not_finite == 3
    assert counts.zeros == (wide == 0).sum()
    for power in range(-140, 10):
        assert counts.counts[power - LEAST] == ((live >= 2.0**power) & (live < 2.0 ** (power + 1))).sum()
    assert counts.counts.sum() == live.size


@pytest.mark.parametrize("checks", [(Finite(),), (Finite(), LayerDrift())])
def test_the_tensor_that_overflowed_is_shown_from_the_batch_in_which_it_did(
    checks: tuple[Check, ...], tmp_path: Path
) -> None:
    values = np.where(np.arange(16) % 2, 300, -300).astype(np.float32) * np.ones((9, 1), np.float32)
    values[:6] = random(6, 16)
    report, _ = measured(layer_norm(), "fp16", Samples({"x": values}, batch=3), tmp_path, *checks)
    first = report.histograms[0]
    assert (first.tensor, first.node, first.op) == ("squared", "squared.node", "Pow")
    assert first.non_finite == 48
    assert first.golden[16 - first.low] == 48
    assert sum(first.golden) - sum(first.candidate) - first.candidate_zeros == 48 - first.golden_zeros
    assert len(first.golden) == len(first.candidate)


def test_at_most_the_worst_eight_farthest_first(tmp_path: Path) -> None:
    report, _ = measured(convolutions(), "bf16", Samples({"x": random(10, 4, 9, 9)}, batch=4), tmp_path, LayerDrift())
    snr = {layer.name: layer.accumulated_snr for layer in report.layers if layer.accumulated_snr is not None}
    shown = [snr[histogram.tensor] for histogram in report.histograms]
    assert shown == sorted(snr.values())[: len(shown)]
    assert 1 <= len(shown) <= MOST


def test_what_equals_golden_has_none(tmp_path: Path) -> None:
    report, _ = measured(mlp(), "fp32", Samples({"x": random(10, 8)}), tmp_path, LayerDrift())
    assert report.histograms == ()
