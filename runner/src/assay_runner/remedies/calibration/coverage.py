"""How well a calibration set stands for other samples: what of their activations it had not seen the like of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np

from assay_api.repair import CoverageEntry
from assay_runner.backends.found import Found, Range
from assay_runner.backends.sweep import Activations
from assay_runner.tensors import Array, Batch, Batches, Progress

TENSORS: Final = 8
"""Tensors that are named."""
SAMPLES: Final = 10
"""Samples that are named."""


def coverage(shown: Activations, batches: Batches, found: Found, progress: Progress) -> CoverageEntry:
    """Look at every activation of the samples.

    Args:
        shown: shows them.
        batches: samples that ranges were not found with.
        found: the ranges, and the largest magnitudes that calibration saw.
        progress: told how far it is.
    """
    seen = _Seen(shown, dict(found.ranges))
    progress.stage("calibrate: coverage", batches.samples, "samples")
    for batch in batches:
        seen.add(batch)
        progress.advance(batch.count)
    return seen.entry()


class _Seen:
    """What was seen so far."""

    def __init__(self, shown: Activations, ranges: Mapping[str, Range]) -> None:
        self._shown, self._ranges = shown, ranges
        self._all = dict.fromkeys(sorted(shown.names), 0)
        self._outside = dict.fromkeys(self._all, 0)
        self._beyond: dict[int, float] = {}
        self._samples = 0

    def add(self, batch: Batch) -> None:
        beyond = np.zeros(batch.count)
        for name, array in self._shown.of(batch.inputs).items():
            peak = self._ranges[name].peak
            values = np.abs(self._shown.axes.judged(name, array, batch))
            self._all[name] += values.size
            self._outside[name] += int(np.count_nonzero(values > peak))
            np.maximum(beyond, self._furthest(name, array, batch, peak), out=beyond)
        self._beyond.update({batch.start + row: float(share) for row, share in enumerate(beyond) if share > 1})
        self._samples += batch.count

    def _furthest(self, name: str, array: Array, batch: Batch, peak: float) -> Array:
        """By sample, its largest magnitude in shares of the largest seen; 0 where samples cannot be told apart."""
        rows = self._shown.axes.samples(name, array, batch)
        if rows is None or len(rows) != batch.count or not rows.size:
            return np.zeros(batch.count)
        largest = np.abs(rows.reshape(batch.count, -1)).max(axis=1).astype(np.float64)
        result: Array = largest / peak if peak else np.where(largest > 0, np.inf, 0.0)
        return result

    def entry(self) -> CoverageEntry:
        share = {name: 1 - self._outside[name] / max(self._all[name], 1) for name in sorted(self._all)}
        kept = {name: each.end / each.peak for name, each in self._ranges.items() if each.peak and each.end < each.peak}
        every = sum(self._all.values())
        furthest = sorted(self._beyond, key=lambda index: (-self._beyond[index], index))
        return CoverageEntry(
            samples=self._samples,
            inside=1 - sum(self._outside.values()) / max(every, 1),
            least=_least({name: each for name, each in share.items() if each < 1}),
            clipped=_least(kept),
            mending=tuple(furthest[:SAMPLES]),
        )


def _least(shares: Mapping[str, float]) -> dict[str, float]:
    return dict(sorted(shares.items(), key=lambda item: (item[1], item[0]))[:TENSORS])
