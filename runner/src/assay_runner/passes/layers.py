"""Every tensor against golden's: where the error starts, and where it is only passed on."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from types import MappingProxyType
from typing import Final

import onnx

from assay_runner.evidence import Error, ExactError, LayerError, LayerErrors
from assay_runner.graphs.codes import codes, dequantised
from assay_runner.graphs.endings import addends
from assay_runner.graphs.upstream import fed, nearest
from assay_runner.passes.counts import Counts
from assay_runner.statistics.blocks import Sums
from assay_runner.statistics.exact import Exact
from assay_runner.statistics.figures import Figures
from assay_runner.tensors import Site

LOST: Final = Error(max_abs=float("inf"), rms=float("inf"), snr=float("-inf"), cosine=float("nan"))
"""The error of a tensor that has another shape than golden's."""
NOTHING: Final[Mapping[str, Exact]] = MappingProxyType({})


def layer_errors(
    sites: Sequence[Site],
    accumulated: Mapping[str, Figures],
    local: Mapping[str, Sums],
    fused: Collection[str] = (),
    empty: Collection[str] = (),
    exact: Mapping[str, Exact] = NOTHING,
    graph: onnx.ModelProto | None = None,
    golden: Collection[str] | None = None,
) -> LayerErrors:
    """What was measured, in topological order.

    Args:
        sites: the candidate's tensors, in topological order.
        accumulated: figures of those that were shown.
        local: sums of those whose operation was run on golden's tensors.
        fused: those that the candidate never makes.
        empty: those that have no elements in golden: there is nothing to compare, and nothing is missing.
        exact: what was counted of tensors of integers and booleans.
        graph: what the tensors are named after, to tell what is computed from what; None: that is not known.
        golden: names of the tensors of golden's graph; None: that is not known.
    """
    nothing, epsilons = Counts().figures(), addends(graph) if graph else frozenset()
    layers = tuple(
        _error(site, found, local.get(site.tensor))
        for site in sites
        for found in (accumulated.get(site.tensor, nothing),)
        if (found.sums.elements or found.reshaped or site.tensor in local or site.tensor in empty)
        and not (site.tensor in epsilons and _vanished(found))
    )
    counted = [(site, exact[site.tensor]) for site in sites if site.tensor in exact]
    unfed = _unfed(graph, [found for _, found in counted]) if graph and local else frozenset()
    equal = tuple(_exact(site, found, site.tensor in unfed) for site, found in counted)
    compared = {layer.site.tensor for layer in layers} | {entry.site.tensor for entry in equal}
    # Codes of quantised numbers are compared as what is read from them.
    aside = compared | epsilons | (codes(graph) | _rounded(graph, compared) if graph else frozenset())
    others = [site.tensor for site in sites if site.tensor not in aside]
    skipped = tuple(name for name in others if name not in fused)
    return LayerErrors(
        layers,
        skipped,
        tuple(name for name in others if name in fused),
        equal,
        nearest(graph, compared) if graph else {},
        tuple(name for name in skipped if golden is not None and name not in golden),
    )


def _rounded(graph: onnx.ModelProto, compared: Collection[str]) -> set[str]:
    """Tensors that Q/DQ pairs of the model's own make of what is compared as it was before, is fed or is a weight.

    Golden has no such tensors, and nothing is missing without them: what they cost shows in what is read from them.
    """
    known = {*compared, *(each.name for each in (*graph.graph.input, *graph.graph.initializer))}
    pairs = dequantised(graph)
    held = {node.output[0] for node in graph.graph.node if node.op_type == "Constant"}
    return {name for name, source in pairs.items() if source in known | held or pairs.get(source) in known}


def _vanished(found: Figures) -> bool:
    """Whether all of a tensor is zero, and golden's is not: like a weight that is an epsilon."""
    return found.low == found.high == 0 and not found.golden_low == found.golden_high == 0


def summary(sums: Sums) -> Error:
    """The figures of a difference."""
    return Error(max_abs=sums.max_abs, rms=sums.rms, snr=sums.snr, cosine=sums.cosine)


def _error(site: Site, found: Figures, local: Sums | None) -> LayerError:
    return LayerError(
        site=site,
        elements=max(found.sums.elements, int(found.reshaped)),
        low=found.low,
        high=found.high,
        golden_low=found.golden_low,
        golden_high=found.golden_high,
        not_finite=found.samples,
        accumulated=LOST if found.reshaped else summary(found.sums),
        local=summary(local) if local else None,
        starts_here=None if found.reshaped else _share(local, found.sums),
        reshaped=found.reshaped,
        early=None if found.reshaped else found.early,
    )


def _unfed(graph: onnx.ModelProto, counted: Sequence[Exact]) -> frozenset[str]:
    """Tensors that constants and shapes alone decide, where an integer may be wrong that was not computed alone.

    Such integers are not handed to a segment, for operators may ask what they are before it runs.
    """
    if not any(each.local is None and each.different for each in counted):
        return frozenset()
    return frozenset(name for node in graph.graph.node for name in node.output) - fed(graph)


def _exact(site: Site, found: Exact, unfed: bool) -> ExactError:
    local = 0 if unfed and found.local is None else found.local  # Of golden's own constants a node makes golden's.
    return ExactError(site, found.elements, found.different, local, found.boolean)


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
    # Of roots, for sums of squares may be of numbers that were scaled.
    return min(1.0, (local.rms / accumulated.rms) ** 2) if local.rms < accumulated.rms else 1.0
