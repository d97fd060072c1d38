"""Precision: the nodes that must run wider for a candidate to pass, and no others.

First what widens no block is tried: the model written otherwise, then attention alone. Where engines are timed, the
faster of that and of single nodes is taken.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from functools import partial

from assay_api.remedies import PrecisionRemedy, Remedies
from assay_runner.backends.conversion import listed
from assay_runner.graphs.taps import uses
from assay_runner.journal import step
from assay_runner.remedies.baseline import baseline
from assay_runner.remedies.calibration.known import with_ranges
from assay_runner.remedies.case import Case, Design
from assay_runner.remedies.precision.chosen import may_run_wider
from assay_runner.remedies.precision.designs import explicit, formats, node_names
from assay_runner.remedies.precision.edits import Edit, edits_of
from assay_runner.remedies.precision.faster import Edited, better
from assay_runner.remedies.precision.nodes import Nodes
from assay_runner.remedies.precision.priors import priors
from assay_runner.remedies.precision.tries import NAME, Tries
from assay_runner.remedies.precision.upcast import with_upcast_attention
from assay_runner.remedies.remedy import Cure, does_not_apply
from assay_runner.remedies.spending import OutOfBudget
from assay_runner.remedies.survey import survey
from assay_runner.remedies.workshop import Workshop


def keep_wide(case: Case, asked: Remedies, workshop: Workshop) -> Cure:
    """Find what must run wider.

    Raises:
        OutOfBudget: the budget is spent before anything passes.
        Unavailable: memory or the device gave out.
    """
    precision = case.design.order.precision
    if precision not in ("fp16", "bf16", "int8", "fp8"):
        return does_not_apply(f"{precision} has no wider format whose nodes could be told apart")
    if precision in ("int8", "fp8") and case.design.order.quantisation is None:
        return does_not_apply(
            "the candidate's own model brings its Q/DQ pairs: take those out of it that should not be there, or give "
            "an int8 candidate calibration"
        )
    if not {*(own := asked.precision or PrecisionRemedy()).to} & {*formats(precision)}:
        can = listed([kind.upper() for kind in formats(precision)])
        return does_not_apply(f"nodes of {precision} candidates can be kept in {can}, not in remedies.precision.to")
    base = baseline(case, workshop, NAME, "the precision of its nodes")
    return base.hopeless or _Precision(case, own, workshop, base.ignored).cure()


class _Precision:
    """One search."""

    def __init__(self, case: Case, asked: PrecisionRemedy, workshop: Workshop, ignored: frozenset[str]) -> None:
        self.asked, self.workshop = asked, workshop
        self.tries = Tries(case, with_ranges(explicit(case), workshop), asked, workshop, ignored)
        self.base = self.tries.base
        self.edits: list[Edit] = []

    def cure(self) -> Cure:
        """The whole of it: first what widens no block."""
        edited: Edited | None = None
        try:
            edited = self._edited()
            chosen, suspicion = self._look()
            if not chosen:
                return better(does_not_apply("the model has no node that could run wider"), edited, {}, 0)
            if edited is None:
                ways = [partial(_written_as, edit) for edit in self.edits[-1:]]
                with suppress(OutOfBudget):
                    # A search that begins anew may have engines of single nodes to choose from.
                    edited = with_upcast_attention(self.tries, chosen, suspicion, ways)
            found = Nodes(self.tries, chosen, suspicion).cure()
        except OutOfBudget:
            if edited is None:
                raise
            return edited.cure
        return better(found, edited, self.tries.latency, len(chosen))

    def _look(self) -> tuple[frozenset[str], dict[str, float]]:
        """Nodes that could run wider, and how suspicious each is."""
        layers, findings = survey(self.workshop, self.base)
        readers = {name: [site.node or "" for site in sites] for name, sites in uses(self.tries.outline).items()}
        floats = frozenset(layer.name for layer in layers)
        chosen = may_run_wider(self.base, floats, self.workshop.folder("chosen"))
        if self.base.order.quantisation:
            self.tries.eight_bit = chosen - self.base.order.held.keys()
        return chosen, priors(layers, findings, readers)

    def _edited(self) -> Edited | None:
        """The model said otherwise, where that alone is enough: nothing runs wider, and nothing is cast."""
        if self.tries.precision != "fp16" or not self.asked.rewrite:
            return None
        with step("edits", "editing the model so that the format holds what it computes"):
            self.edits = edits_of(self.base.model, self.workshop.folder("edits"))
        for edit in self.edits:
            design = _as(edit, self.base)
            if judged := self.tries.passing(design):
                cure = Cure(design, f"with {edit.words} every node can stay {self.tries.precision.upper()}")
                return Edited(cure, judged.latency_ms)
        return None


def _as(edit: Edit, design: Design) -> Design:
    """The same of the model as edited; what it holds and is no more is not held."""
    left = node_names(edit.model.path)
    held = {name: kind for name, kind in design.order.held.items() if name in left}
    return replace(design, model=edit.model, order=replace(design.order, held=held), words=edit.words)


def _written_as(edit: Edit, design: Design) -> Design | None:
    """The same of the model as edited, where all that is held is still there."""
    if not design.order.held.keys() <= node_names(edit.model.path):
        return None
    return replace(_as(edit, design), words=f"{edit.words}, and {design.words}")
