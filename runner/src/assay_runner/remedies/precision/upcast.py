"""Queries, keys and values of attention in a wider type, everything around it as narrow as it was.

Scores are sums of products that nothing has normalised: where a half cannot hold them, or rounds them too far for the
exponential behind, the two products and the Softmax between them are the whole of it. So a model whose attention alone
is at fault needs no block widened. It is the graph that a builder with a fused attention kernel takes for one whose
sums are FP32: types and casts, nothing else.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from assay_runner.graphs.attentions import Attention, attentions
from assay_runner.remedies.case import Design
from assay_runner.remedies.precision.designs import WIDEST, formats
from assay_runner.remedies.precision.faster import Edited
from assay_runner.remedies.precision.nodes import facts_of
from assay_runner.remedies.precision.tries import Tries
from assay_runner.remedies.precision.words import needed
from assay_runner.remedies.remedy import Cure
from assay_runner.remedies.spending import OutOfBudget
from assay_runner.search import Answer, Item, Limits, Outcome, Stage, search

Written = Callable[[Design], Design | None]
"""The same design of a model that is written otherwise; None where that has not the nodes that it holds."""


def with_upcast_attention(
    tries: Tries, chosen: frozenset[str], suspicion: Mapping[str, float], otherwise: Sequence[Written]
) -> Edited | None:
    """The fewest attentions whose queries, keys and values are in a wider type, where that alone is enough.

    Args:
        tries: where it is tried.
        chosen: nodes that could run wider.
        suspicion: by node; what the format cannot hold must be among them.
        otherwise: ways to write the model which are tried beside it where it is not enough alone.

    Raises:
        OutOfBudget: the budget is spent.
    """
    every = attentions(tries.outline)
    found = [each for each in every if each.nodes & chosen]
    facts = facts_of(suspicion, chosen)
    if facts:
        found = [each for each in found if each.nodes & facts]
    if not found:
        return None
    free = chosen - {name for name, kind in tries.base.order.held.items() if kind == WIDEST}
    upcast = _Upcast(tries, found, len(every), free)
    # What the format cannot hold elsewhere stays, unless the model is written otherwise.
    ways: list[Written] = [] if facts - frozenset[str]().union(*(each.nodes for each in found)) else [lambda own: own]
    for way in (*ways, *otherwise):
        if cure := upcast.cure(way):
            return cure
    return None


class _Upcast:
    """Attentions of one model."""

    def __init__(self, tries: Tries, found: Sequence[Attention], total: int, chosen: frozenset[str]) -> None:
        self.tries, self.found, self.total, self.chosen = tries, found, total, chosen

    def cure(self, way: Written) -> Edited | None:
        kinds = [kind for kind in formats(self.tries.precision) if kind in self.tries.asked.to]
        every = frozenset(each.name for each in self.found)
        kind = next((kind for kind in kinds if self._emulated(every, kind, way)), None)
        if kind is None:
            return None
        outcome = self._fewest(every, kind, way)
        if not (kept := outcome.best):
            return None  # An emulation passes with none of them: nothing says that attention is at fault.
        design = self._design(kept, kind, way)
        most = self.tries.asked.most_nodes
        if design is None or (most is not None and len(self._nodes(kept)) > most):
            return None
        judged = self.tries.passing(design)
        if judged is None:
            return None
        wide = dict.fromkeys(sorted(self._nodes(kept)), kind)
        message = f"with {design.words} all else can stay {self.tries.precision.upper()}"
        return Edited(Cure(design, message, "Found", wide, needed(outcome)), judged.latency_ms)

    def _fewest(self, every: frozenset[str], kind: str, way: Written) -> Outcome[str]:
        """Each is needed, as far as emulation tells; no engine is built to leave one out."""

        def passes(kept: frozenset[str]) -> Answer:
            design = self._design(kept, kind, way)
            if design is None:
                return Answer.of(False, -math.inf)
            return self.tries.answer(self.tries.tried(design, "emulation"), "emulation")

        items = [Item(each.name) for each in self.found]
        known = [(Stage.DECIDE, every, Answer.of(True, math.inf))]
        try:
            return search(items, passes, limits=Limits(self.tries.left().proposals), known=known)
        except OutOfBudget:
            return search(items, passes, limits=Limits(0), known=known)

    def _emulated(self, kept: frozenset[str], kind: str, way: Written) -> bool:
        design = self._design(kept, kind, way)
        return design is not None and self.tries.passed(self.tries.tried(design, "emulation"), "emulation")

    def _nodes(self, kept: frozenset[str]) -> frozenset[str]:
        nodes = frozenset[str]().union(*(each.nodes for each in self.found if each.name in kept))
        return nodes & self.chosen

    def _design(self, kept: frozenset[str], kind: str, way: Written) -> Design | None:
        if not kept:
            return way(self.tries.holding({}))
        of = f" of {self.total}" if len(kept) < self.total else ""
        plural = "s" if self.total > 1 else ""
        count = f"{len(kept)}{of} attention{plural}"
        words = f"Q, K and V of {count} in {kind.upper()}"
        design = way(replace(self.tries.holding(dict.fromkeys(self._nodes(kept), kind)), words=words))
        return replace(design, words=f"{design.words}: {self.tries.named(kept)}") if design else None
