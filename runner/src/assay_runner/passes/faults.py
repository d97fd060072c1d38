"""Tensors that are not finite: which, how, in how many samples, and whether golden has the same."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from assay_runner.evidence import Fault, TensorFaults
from assay_runner.statistics.figures import Figures
from assay_runner.tensors import Site


def tensor_faults(
    sites: Sequence[Site],
    figures: Mapping[str, Figures],
    settled: Mapping[str, int],
    largest: Mapping[str, float],
    shown: Collection[str],
    fused: Collection[str],
    data: Collection[str],
) -> TensorFaults:
    """What was found, in topological order.

    Args:
        sites: the candidate's tensors, in topological order.
        figures: by tensor.
        settled: samples in which golden has another value, where golden was asked afterwards.
        largest: golden's largest magnitudes, where they are known.
        shown: those it showed.
        fused: those it never makes.
        data: those computed from the data: what it folds it need not show.
    """
    faults = tuple(
        Fault(site, f.samples, f.nan, f.positive, f.negative, f.first, settled.get(name, f.own), largest.get(name))
        for site in sites
        if (f := figures.get(name := site.tensor)) and f.samples
    )
    unseen = {site.tensor for site in sites}.difference(shown)
    unshown = unseen.intersection(data).difference(fused)
    return TensorFaults(len(shown), faults, len(unseen.intersection(fused)), len(unshown))
