"""How large graph inputs are in the samples that are judged, beside what a candidate was calibrated on."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from typing import Final

import numpy as np

from assay_runner.backends.found import Range
from assay_runner.evidence import Unlike
from assay_runner.graphs.sample_axes import without_padding
from assay_runner.statistics.blocks import plain
from assay_runner.tensors import Batch

BEYOND: Final = 2.0
"""So many times the calibration set's largest magnitude saturate: half of what there is."""
MOST: Final = 0.5
"""Share of the samples: that some are so large is no more than a tail, of which a calibration set sees little."""
WITHIN: Final = 1 / 16
"""Share of an INT8 range that leaves 8 of 127 steps; the steps of FP8 become finer with what they hold."""


class InputPeaks:
    """The largest magnitudes of the graph inputs that calibration has seen."""

    def __init__(self, seen: Mapping[str, Range], precision: str) -> None:
        """`seen`: by graph input, its range; `precision`: the candidate's."""
        self._seen = seen
        self._within = WITHIN if precision == "int8" else 0.0
        self._largest = dict.fromkeys(seen, 0.0)
        self._samples: Counter[str] = Counter()
        self._beyond: Counter[str] = Counter()

    def add(self, batch: Batch) -> None:
        """Take the inputs of a batch in; what is infinite in them is left out."""
        for name in self._seen.keys() & batch.inputs.keys():
            axis = batch.axes.get(name, 0)
            sizes = np.abs(plain(without_padding(batch.inputs[name], axis, batch)))
            others = tuple(each for each in range(sizes.ndim) if each != axis)
            peaks = sizes.max(axis=others, initial=0, where=np.isfinite(sizes))
            self._largest[name] = max(self._largest[name], float(peaks.max(initial=0)))
            self._samples[name] += peaks.size
            self._beyond[name] += int(np.count_nonzero(peaks > BEYOND * self._seen[name].peak))

    @property
    def unlike(self) -> Unlike | None:
        """The input that is least like its calibration set: most samples are much larger than that, or all smaller."""
        odd = [name for name in self._seen if self._large(name) or self._small(name)]
        if not odd:
            return None
        name = max(odd, key=lambda each: abs(math.log(max(_ratio(self._largest[each], self._seen[each]), 1e-300))))
        return Unlike(name, self._largest[name], self._seen[name].peak)

    def _large(self, name: str) -> bool:
        return self._beyond[name] > MOST * self._samples[name]

    def _small(self, name: str) -> bool:
        """All of them, so that each has few steps. What a method cuts takes none; of zeros alone nothing is lost."""
        return 0 < self._largest[name] < self._within * self._seen[name].end


def _ratio(largest: float, seen: Range) -> float:
    return largest / seen.peak if seen.peak else math.inf
