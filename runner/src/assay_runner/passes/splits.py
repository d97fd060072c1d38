"""A fused layer is where a fault starts: at which of its nodes?

A fused layer makes no tensor inside, so none was looked at. The candidate is built once more with that layer split, and
run on few samples that show the fault. It is another engine than the one that is served, which may compute otherwise:
so the tensor that the layer makes is looked at in both, on the same samples.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from assay_api.report import Finding, Verdict
from assay_runner.backends.seams import Comparison, Opening
from assay_runner.errors import InvalidInput, Unavailable
from assay_runner.evidence import Evidence, FusedLayer, InnerTensor, Need, Site, SplitLayer
from assay_runner.golden import BACKEND, golden_model
from assay_runner.passes.counts import Counts
from assay_runner.passes.host import SHOWN_BYTES, comparison
from assay_runner.passes.layers import summary
from assay_runner.passes.rows import is_float, parts
from assay_runner.statistics.blocks import Sums
from assay_runner.statistics.figures import Figures
from assay_runner.tensors import Array, Batch, Progress

if TYPE_CHECKING:
    from assay_runner.measure import MeasureRequest


def split_layers(
    request: MeasureRequest, evidence: Evidence, findings: Iterable[Finding], progress: Progress
) -> tuple[dict[str, SplitLayer], tuple[str, ...]]:
    """What is inside the fused layers at whose tensors a check of all tensors failed, by tensor.

    Also notes: layers that could not be split, and why. Nothing where the backend fuses nothing, or splits nothing.
    """
    backend = request.backend
    if not isinstance(backend, Opening) or not evidence.tensors or not evidence.tensors.fused:
        return {}, ()
    found: dict[str, SplitLayer] = {}
    notes = []
    for tensor in _suspects(request, findings):
        layer = backend.fused_layer(request.built, tensor)
        if layer is None:
            continue
        progress.note(f"split the layer that makes {tensor}")
        try:
            split = _Look(request, backend, layer, tensor).result(_first_sample(evidence, tensor))
        except (InvalidInput, Unavailable) as error:
            # What was measured before stands without it.
            notes.append(f"the fused layer that makes tensor {tensor!r} could not be looked into: {error}")
        else:
            if split:
                found[tensor] = split
            else:
                notes.append(f"tensor {tensor!r} is not shown where the fused layer that makes it is split")
    return found, tuple(notes)


def _suspects(request: MeasureRequest, findings: Iterable[Finding]) -> tuple[str, ...]:
    names = {check.name for check in request.checks if check.needs & {Need.TENSORS, Need.LAYERS}}
    failed = (f for f in findings if f.verdict is Verdict.FAILED and f.check in names)
    return tuple(dict.fromkeys(finding.tensor for finding in failed if finding.tensor))


def _first_sample(evidence: Evidence, tensor: str) -> int:
    """The first sample in which a tensor is not finite; the first of all where it is."""
    faults = evidence.tensors.faults if evidence.tensors else ()
    return next((fault.first for fault in faults if fault.site.tensor == tensor), 0)


@dataclass(frozen=True)
class _Look:
    request: MeasureRequest
    backend: Opening
    layer: FusedLayer
    tensor: str

    def result(self, sample: int) -> SplitLayer | None:
        """The layer, split, in a part of the batch that holds the sample; None where its tensor cannot be shown."""
        request, tensor = self.request, self.tensor
        with comparison(request.backend, request.built, local=False) as fused:
            batch = self._part(fused, sample)
            served = fused.show(batch, {tensor}).get(tensor)
        with self.backend.open_inside(request.built, tensor) as split:
            golden = self._golden(split.shown, batch)
            wanted = golden.get(tensor)
            split.add(batch, golden)
            figures, local = split.accumulated(), split.local()
        if served is None or not is_float(served) or tensor not in figures:
            return None
        counts = Counts()
        counts.add(served, batch, wanted, request.built.axes.of(tensor, served.shape, batch.fed))
        names = {*self.layer.tensors, tensor}
        shown = [site for site in request.backend.sites(request.built) if site.tensor in names & figures.keys()]
        inner = {site.tensor: _inner(site, figures[site.tensor], local.get(site.tensor)) for site in shown}
        whole = _inner(inner[tensor].site, counts.figures(), None)
        return SplitLayer(self.layer, batch.count, whole, inner[tensor], tuple(inner.values()))

    def _part(self, fused: Comparison, sample: int) -> Batch:
        request = self.request
        batch = next(b for b in request.dataset if b.start <= sample < b.start + b.count)
        size = fused.fits(batch, SHOWN_BYTES) if request.splits else 0
        return next(part for part in parts(batch, size or None) if sample < part.start + part.count)

    def _golden(self, shown: Collection[str], batch: Batch) -> dict[str, Array]:
        request = self.request
        names = {site.tensor for site in request.backend.sites(request.built)}
        built, _ = golden_model(request.model, request.golden_precision, request.workdir)
        with BACKEND.open_tapped(built, shown or names) as session:
            return {n: array for n, array in session.run(batch.inputs).items() if n in names and is_float(array)}


def _inner(site: Site, figures: Figures, local: Sums | None) -> InnerTensor:
    not_finite = figures.samples if figures.own is None else figures.own
    return InnerTensor(site, not_finite, summary(figures.sums), summary(local) if local else None)
