"""Magnitudes of the worst tensors, golden's against the candidate's, of the few samples that are run for it again.

Which tensors are the worst is known only at the end, and no run is kept: so the first batch is run once more, and the
first batch in which a tensor was not finite.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from assay_runner.evidence import LayerErrors, Site
from assay_runner.graphs.sample_axes import SampleAxes
from assay_runner.range_evidence import Histogram
from assay_runner.statistics.magnitudes import LEAST, Magnitudes
from assay_runner.tensors import Array, Batch

MOST = 8
"""Tensors that get a histogram."""


def worst_sites(errors: LayerErrors) -> tuple[Site, ...]:
    """The tensors farthest from golden, farthest first; of equal ones those made first. None that equals golden."""
    differ = [layer for layer in errors.layers if layer.elements and layer.accumulated.snr < float("inf")]
    return tuple(layer.site for layer in sorted(differ, key=lambda layer: layer.accumulated.snr)[:MOST])


class HistogramsPass:
    """Counts both tensors of each site."""

    def __init__(self, sites: Sequence[Site], axes: SampleAxes) -> None:
        """The tensors, in the order of the report; `axes` says where their samples are."""
        self._sites, self._axes = sites, axes
        self._counts = {site.tensor: (Magnitudes(), Magnitudes()) for site in sites}

    @property
    def names(self) -> frozenset[str]:
        """The tensors."""
        return frozenset(self._counts)

    def add(self, name: str, golden: Array, candidate: Array, batch: Batch) -> None:
        """Take one tensor of a batch in; of two shapes it is left out."""
        if golden.shape == candidate.shape:
            for counts, array in zip(self._counts[name], (golden, candidate), strict=True):
                counts.add(self._axes.judged(name, array, batch))

    def result(self) -> tuple[Histogram, ...]:
        """Histograms from the smallest magnitude to the largest of either; tensors that were not seen are left out."""
        return tuple(made for site in self._sites if (made := _histogram(site, *self._counts[site.tensor])))


def _histogram(site: Site, golden: Magnitudes, candidate: Magnitudes) -> Histogram | None:
    used = np.flatnonzero(golden.counts + candidate.counts)
    if not used.size:
        return None
    kept = slice(int(used[0]), int(used[-1]) + 1)
    return Histogram(
        site=site,
        low=LEAST + int(used[0]),
        golden=tuple(map(int, golden.counts[kept])),
        candidate=tuple(map(int, candidate.counts[kept])),
        golden_zeros=golden.zeros,
        candidate_zeros=candidate.zeros,
        not_finite=candidate.not_finite,
    )
