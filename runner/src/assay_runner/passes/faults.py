"""Tensors that are not finite: which, how, in how many samples, and whether golden has the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from assay_runner.evidence import Fault, Site, TensorFaults
from assay_runner.passes.rows import is_float, judged
from assay_runner.statistics.blocks import plain
from assay_runner.tensors import Array, Batch

Flags = NDArray[np.bool_]


@dataclass
class _Count:
    samples: int = 0
    nan: int = 0
    positive: int = 0
    negative: int = 0
    first: int = -1
    own: int | None = None


class FaultsPass:
    """Counts the samples in which each tensor is not finite."""

    def __init__(self, sites: Sequence[Site]) -> None:
        """Tensors in topological order."""
        self._sites = sites
        self._seen: set[str] = set()
        self._counts: dict[str, _Count] = {}
        self.batches: set[int] = set()

    @property
    def names(self) -> frozenset[str]:
        """Tensors that were not finite somewhere."""
        return frozenset(self._counts)

    def samples(self, name: str) -> int:
        """Samples in which the tensor was not finite."""
        return self._counts[name].samples if name in self._counts else 0

    def add(self, name: str, array: Array, batch: Batch, golden: Array | None = None) -> None:
        """Take one tensor of a batch in, and, where it is at hand, golden's."""
        self._seen.add(name)
        array = judged(array, batch)
        if not is_float(array) or _all_finite(array):
            return
        split = array.ndim > 0 and len(array) == batch.count
        self.batches.add(batch.start)
        count = self._counts.setdefault(name, _Count())
        flags = [_per_sample(flag, batch, split) for flag in _kinds(array)]
        anything = np.logical_or.reduce(flags)
        if count.first < 0:
            count.first = batch.start + int(np.argmax(anything))
        count.samples += int(anything.sum())
        count.nan += int(flags[0].sum())
        count.positive += int(flags[1].sum())
        count.negative += int(flags[2].sum())
        if golden is not None:
            self.settle(name, array, golden, batch)

    def settle(self, name: str, array: Array, golden: Array, batch: Batch) -> None:
        """Count the samples in which the candidate's values are not finite where golden has another value."""
        array, golden = judged(array, batch), judged(golden, batch)
        count = self._counts[name]
        count.own = count.own or 0
        if array.shape != golden.shape:
            count.own += batch.count
            return
        own = np.logical_or.reduce([a & ~g for a, g in zip(_kinds(array), _kinds(golden), strict=True)])
        split = array.ndim > 0 and len(array) == batch.count
        count.own += int(_per_sample(own, batch, split).sum())

    def result(self) -> TensorFaults:
        """What was found, in topological order."""
        faults = tuple(
            Fault(site, c.samples, c.nan, c.positive, c.negative, c.first, c.own)
            for site in self._sites
            if (c := self._counts.get(site.tensor))
        )
        return TensorFaults(len(self._seen), faults)


def _all_finite(array: Array) -> bool:
    if array.size == 0:
        return True
    array = plain(array)
    # A minimum and a maximum cost no temporary; NaN and infinities show in one of them.
    return bool(np.isfinite(array.min()) and np.isfinite(array.max()))


def _kinds(array: Array) -> tuple[Flags, Flags, Flags]:
    """Where the values are NaN, +Inf and -Inf."""
    wide = plain(array)
    return np.isnan(wide), np.isposinf(wide), np.isneginf(wide)


def _per_sample(flags: Flags, batch: Batch, split: bool) -> Flags:
    """One flag per sample; where samples cannot be told apart, all of the batch."""
    if split:
        return np.asarray(flags.reshape(len(flags), -1).any(axis=1))
    return np.full(batch.count, bool(flags.any()))
