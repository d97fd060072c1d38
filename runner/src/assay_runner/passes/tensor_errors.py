"""How far each tensor is from golden's, counted in host memory as tensors come."""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from assay_runner.data.rows import is_float
from assay_runner.graphs.sample_axes import SampleAxes
from assay_runner.graphs.unclipped import Clipped
from assay_runner.passes.counts import Counts
from assay_runner.passes.rises import Rises, added, powers
from assay_runner.statistics.blocks import Sums
from assay_runner.statistics.exact import Exact, is_exact
from assay_runner.tensors import Array, Batch

NONE: Final[Mapping[str, Clipped]] = MappingProxyType({})


class TensorErrors:
    """What was found so far, by tensor. Tensors of other names may be looked at by other threads at the same time.

    Attributes:
        counts: of those in real numbers that a run has shown.
        local: of what nodes alone make of golden's tensors, in real numbers.
        exact: of integers and booleans.
        batches: starts of the batches in which a tensor was not finite.
        rises: tensors that have fared worse than before.
    """

    def __init__(self, axes: SampleAxes, clips: Mapping[str, Clipped] = NONE) -> None:
        """Nothing was looked at yet; `axes`: where the samples of the tensors are; `clips`: as what reads some."""
        self._axes, self._clips = axes, clips
        self.counts: dict[str, Counts] = {}
        self.local: dict[str, Sums] = {}
        self.exact: dict[str, Exact] = {}
        self.batches: set[int] = set()
        self.rises = Rises()

    def look(
        self,
        tensors: dict[str, Array],
        golden: dict[str, Array],
        alone: dict[str, Array | None],
        batch: Batch,
        name: str,
    ) -> None:
        """Compare a tensor of the candidate's run, and what its node alone makes, with golden's; all are taken out.

        Args:
            tensors: the candidate's.
            golden: golden's.
            alone: what nodes alone make of golden's tensors.
            batch: what was fed.
            name: of the tensor.
        """
        array, own, expected = tensors.pop(name, None), alone.pop(name, None), golden.pop(name, None)
        if clip := self._clips.get(name):
            array, own = (each if each is None or not is_float(each) else clip.of(each) for each in (array, own))
        beside = None
        if own is not None and expected is not None:
            if is_exact(own):
                self._exact_of(name).add_local(*self._judged(name, batch, expected, own))
            elif own.shape == expected.shape:
                beside = self.local.setdefault(name, Sums(cross=None)), own
        if array is not None and is_float(array):
            axis = self._axes.of(name, array.shape, batch.fed)
            counts = self.counts.setdefault(name, Counts())
            before = powers(counts.sums)
            if not counts.add(array, batch, expected, axis, beside):
                self.batches.add(batch.start)
            error, whole = added(before, counts.sums)
            self.rises.take(name, math.inf if counts.reshaped else error, whole)
        elif expected is not None:
            if beside is not None:
                sums, given = beside
                sums.add(*self._judged(name, batch, expected, given))
            if array is not None and is_exact(array):
                exact = self._exact_of(name)
                wrong, elements = exact.different, exact.elements
                exact.add(*self._judged(name, batch, expected, array))
                self.rises.take(name, exact.different - wrong, exact.elements - elements)

    def _exact_of(self, name: str) -> Exact:
        return self.exact.setdefault(name, Exact())

    def _judged(self, name: str, batch: Batch, golden: Array, other: Array) -> tuple[Array, Array]:
        """Both without what rows of padding made."""
        return self._axes.judged(name, golden, batch), self._axes.judged(name, other, batch)
