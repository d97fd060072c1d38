"""Every tensor against golden's: where the error starts, and where it is only passed on."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from assay_runner.evidence import Error, LayerError, LayerErrors
from assay_runner.passes.counts import Counts
from assay_runner.statistics.blocks import Sums
from assay_runner.statistics.figures import Figures
from assay_runner.tensors import Site


def layer_errors(
    sites: Sequence[Site],
    accumulated: Mapping[str, Figures],
    local: Mapping[str, Sums],
    fused: Collection[str] = (),
    empty: Collection[str] = (),
) -> LayerErrors:
    """What was measured, in topological order.

    Args:
        sites: the candidate's tensors, in topological order.
        accumulated: figures of those that were shown.
        local: sums of those whose operation was run on golden's tensors.
        fused: those that the candidate never makes.
        empty: those that have no elements in golden: there is nothing to compare, and nothing is missing.
    """
    nothing = Counts().figures()
    layers = tuple(
        _error(site, found, local.get(site.tensor))
        for site in sites
        for found in (accumulated.get(site.tensor, nothing),)
        if found.sums.elements or site.tensor in local or site.tensor in empty
    )
    compared = {layer.site.tensor for layer in layers}
    others = [site.tensor for site in sites if site.tensor not in compared]
    return LayerErrors(
        layers,
        tuple(name for name in others if name not in fused),
        tuple(name for name in others if name in fused),
    )


def summary(sums: Sums) -> Error:
    """The figures of a difference."""
    return Error(max_abs=sums.max_abs, rms=sums.rms, snr=sums.snr, cosine=sums.cosine)


def _error(site: Site, found: Figures, local: Sums | None) -> LayerError:
    return LayerError(
        site=site,
        elements=found.sums.elements,
        low=found.low,
        high=found.high,
        golden_low=found.golden_low,
        golden_high=found.golden_high,
        not_finite=found.samples,
        accumulated=summary(found.sums),
        local=summary(local) if local else None,
        starts_here=_share(local, found.sums),
    )


def _share(local: Sums | None, accumulated: Sums) -> float | None:
    """Share of the accumulated error's power that the local one accounts for; None where there is no error.

    Power per element: an engine's segments may leave out a last, shorter batch.
    """
    if local is None or (not accumulated.bad and accumulated.noise == 0):
        return None
    if local.bad or accumulated.bad:
        return 1.0 if local.bad else 0.0
    if not local.elements:
        return None
    return min(1.0, (local.noise / local.elements) / (accumulated.noise / accumulated.elements))
