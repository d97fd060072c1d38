"""A fused layer is where a fault starts: at which of its nodes?

A fused layer makes no tensor inside, so none was looked at. The candidate is built once more with that layer split, and
run on few samples that show the fault. It is another engine than the one that is served, which may compute otherwise:
so the tensor that the layer makes is looked at in both, on the same samples.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from typing import Any

from assay_api.report import Finding, Verdict
from assay_runner.backends.seams import Comparison, Opening
from assay_runner.checks import Check
from assay_runner.data.rows import is_float, parts
from assay_runner.errors import InvalidInput, Unavailable
from assay_runner.evidence import Evidence, FusedLayer, InnerTensor, Need, ShownTensors, SplitLayer, TensorsWanted
from assay_runner.journal import step
from assay_runner.passes.comparing import comparison
from assay_runner.passes.counts import Counts
from assay_runner.passes.layers import summary
from assay_runner.passes.setting import Setting
from assay_runner.statistics.blocks import Sums
from assay_runner.statistics.figures import Figures
from assay_runner.tensors import Array, Batch, Site


def split_layers(
    setting: Setting, checks: Iterable[Check], evidence: Evidence, findings: Iterable[Finding]
) -> Evidence:
    """The evidence with what is inside the fused layers at whose tensors a check of all tensors failed.

    Notes tell layers that could not be split, and why. The same evidence where there is nothing to add: the backend
    fuses nothing, or splits nothing.
    """
    backend, built = setting.subject.backend, setting.subject.built
    shown = evidence.any(TensorsWanted)
    if not isinstance(backend, Opening) or not shown or not shown.faults.fused:
        return evidence
    found: dict[str, SplitLayer] = {}
    notes = []
    exact = {entry.site.tensor for entry in (shown.layers.exact if shown.layers else ())}
    for tensor, asking in _suspects(checks, findings).items():
        # What is inside is told by its numbers; of integers there are none.
        layer = None if tensor in exact else backend.fused_layer(built, tensor)
        if layer is None:
            continue
        setting.progress.note(f"split the layer that makes {tensor}")
        try:
            with step(f"Split {tensor}", f"splitting the fused layer that makes tensor {tensor!r}", asking):
                split = _Look(setting, backend, layer, tensor).result(_first_sample(shown, tensor))
        except (InvalidInput, Unavailable) as error:
            # What was measured before stands without it.
            notes.append(f"the fused layer that makes tensor {tensor!r} could not be looked into: {error}")
        else:
            if split:
                found[tensor] = split
            else:
                notes.append(f"tensor {tensor!r} is not shown where the fused layer that makes it is split")
    if not found and not notes:
        return evidence
    closer: dict[Need[Any], Any] = {
        need: replace(shown, split_layers=found) for need in evidence.found if isinstance(need, TensorsWanted)
    }
    return replace(evidence, found={**evidence.found, **closer}, notes=(*evidence.notes, *notes))


def _suspects(checks: Iterable[Check], findings: Iterable[Finding]) -> dict[str, str]:
    """Tensors at which checks failed, and the names of these."""
    names = {check.name for check in checks if any(isinstance(need, TensorsWanted) for need in check.needs)}
    failed = [f for f in findings if f.verdict is Verdict.FAILED and f.check in names and f.tensor]
    tensors = dict.fromkeys(finding.tensor for finding in failed if finding.tensor)
    return {name: ", ".join(dict.fromkeys(f.check for f in failed if f.tensor == name)) for name in tensors}


def _first_sample(shown: ShownTensors, tensor: str) -> int:
    """The first sample in which a tensor is not finite; the first of all where it is."""
    return next((fault.first for fault in shown.faults.faults if fault.site.tensor == tensor), 0)


@dataclass(frozen=True)
class _Look:
    setting: Setting
    backend: Opening
    layer: FusedLayer
    tensor: str

    def result(self, sample: int) -> SplitLayer | None:
        """The layer, split, in a part of the batch that holds the sample; None where its tensor cannot be shown."""
        subject, tensor = self.setting.subject, self.tensor
        with comparison(subject.backend, subject.built, self.setting.budgets, local=False) as fused:
            batch = self._part(fused, sample)
            served = fused.show(batch, {tensor}).get(tensor)
        with self.backend.open_inside(subject.built, tensor) as split:
            golden = self._golden(split.shown, batch)
            wanted = golden.get(tensor)
            split.add(batch, golden)
            figures, local = split.accumulated(), split.local()
        if served is None or not is_float(served) or tensor not in figures:
            return None
        counts = Counts()
        counts.add(served, batch, wanted, subject.built.axes.of(tensor, served.shape, batch.fed))
        names = {*self.layer.tensors, tensor}
        shown = [site for site in subject.backend.sites(subject.built) if site.tensor in names & figures.keys()]
        inner = {site.tensor: _inner(site, figures[site.tensor], local.get(site.tensor)) for site in shown}
        whole = _inner(inner[tensor].site, counts.figures(), None)
        return SplitLayer(self.layer, batch.count, whole, inner[tensor], tuple(inner.values()))

    def _part(self, fused: Comparison, sample: int) -> Batch:
        setting = self.setting
        batch = next(b for b in setting.reference.dataset if b.start <= sample < b.start + b.count)
        size = fused.fits(batch, setting.budgets.shown) if setting.splits else 0
        return next(part for part in parts(batch, size or None) if sample < part.start + part.count)

    def _golden(self, shown: Collection[str], batch: Batch) -> dict[str, Array]:
        reference, subject = self.setting.reference, self.setting.subject
        names = {site.tensor for site in subject.backend.sites(subject.built)}
        try:
            found = reference.tensors(batch, shown or names)
        finally:
            reference.rest()
        return {name: array for name, array in found.items() if name in names and is_float(array)}


def _inner(site: Site, figures: Figures, local: Sums | None) -> InnerTensor:
    not_finite = figures.samples if figures.own is None else figures.own
    return InnerTensor(site, not_finite, summary(figures.sums), summary(local) if local else None)
