"""How large graph inputs are in the samples that are judged, beside what a candidate was calibrated on."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

import numpy as np

from assay_runner.evidence import Unlike
from assay_runner.graphs.sample_axes import without_padding
from assay_runner.statistics.blocks import plain
from assay_runner.tensors import Batch

BEYOND: Final = 2.0
"""So many times the calibration set's largest magnitude saturate: half of what there is."""
WITHIN: Final = 1 / 16
"""Share of it that leaves 8 of 127 steps."""


class InputPeaks:
    """The largest magnitude of each graph input that calibration has seen."""

    def __init__(self, seen: Mapping[str, float]) -> None:
        """`seen`: by graph input, the largest magnitude on the calibration set."""
        self._seen = seen
        self._largest = dict.fromkeys(seen, 0.0)

    def add(self, batch: Batch) -> None:
        """Take the inputs of a batch in; what is infinite in them is left out."""
        for name in self._seen.keys() & batch.inputs.keys():
            sizes = np.abs(plain(without_padding(batch.inputs[name], batch.axes.get(name, 0), batch)))
            largest = float(sizes.max(initial=0, where=np.isfinite(sizes)))
            self._largest[name] = max(self._largest[name], largest)

    @property
    def unlike(self) -> Unlike | None:
        """The input that is least like its calibration set, where one is much larger or smaller than there."""
        ratios = {name: _ratio(self._largest[name], seen) for name, seen in self._seen.items()}
        odd = [name for name, ratio in ratios.items() if not WITHIN <= ratio <= BEYOND]
        if not odd:
            return None
        name = max(odd, key=lambda each: abs(math.log(max(ratios[each], 1e-300))))
        return Unlike(name, self._largest[name], self._seen[name])


def _ratio(largest: float, seen: float) -> float:
    if not largest:
        return 1.0  # Nothing is lost of it.
    return largest / seen if seen else math.inf
