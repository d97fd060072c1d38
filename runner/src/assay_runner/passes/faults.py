"""Tensors that are not finite: which, how, in how many samples, and whether golden has the same."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from assay_runner.evidence import Fault, Site, TensorFaults
from assay_runner.statistics.figures import Figures


def tensor_faults(
    sites: Sequence[Site], looked_at: int, figures: Mapping[str, Figures], settled: Mapping[str, int]
) -> TensorFaults:
    """What was found, in topological order.

    Args:
        sites: the candidate's tensors, in topological order.
        looked_at: how many of them it showed.
        figures: by tensor.
        settled: samples in which golden has another value, where golden was asked afterwards.
    """
    faults = tuple(
        Fault(site, f.samples, f.nan, f.positive, f.negative, f.first, settled.get(site.tensor, f.own))
        for site in sites
        if (f := figures.get(site.tensor)) and f.samples
    )
    return TensorFaults(looked_at, faults)
