"""The search with two oracles: a cheap one proposes, the one whose word counts confirms.

Where they agree, that takes as many trials of the dear one as confirmations. Where they do not, what was proposed is
kept for the time being: most of it may be right, and what is missing is looked for among the rest, then what is too
much among the proposed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from assay_runner.search.asking import Asking, Contradicted, Spent
from assay_runner.search.cheaper import Cost
from assay_runner.search.curing import Cure, cure
from assay_runner.search.items import Item, T, leaves_of, restricted
from assay_runner.search.outcome import Why
from assay_runner.search.trials import Purpose, Steps

__all__ = ["confirmed_cure", "steady"]


def confirmed_cure(
    proposing: Asking[T], deciding: Asking[T], items: Sequence[Item[T]], cost: Cost[T]
) -> Steps[T, Cure[T]]:
    """The cheapest set that the proposing oracle finds and the deciding one confirms; else what the latter finds.

    Raises:
        Spent: of the deciding oracle.
    """
    proposed = yield from _proposal(proposing, items, cost)
    return (yield from steady(lambda: _decided(deciding, items, cost, proposed)))


def steady(steps: Callable[[], Steps[T, Cure[T]]]) -> Steps[T, Cure[T]]:
    """Steps that begin again, from all that is known by then, where answers turn out not to be certain."""
    while True:
        try:
            return (yield from steps())
        except Contradicted:
            continue


def _proposal(proposing: Asking[T], items: Sequence[Item[T]], cost: Cost[T]) -> Steps[T, Cure[T]]:
    try:
        return (yield from steady(lambda: cure(proposing, items, cost)))
    except Spent:
        best = min(proposing.passing(), key=cost, default=None)
        if best is None:
            return Cure(Why.BUDGET)
        return Cure(Why.BUDGET, tuple(leaves_of(restricted(items, best))), best)


def _decided(deciding: Asking[T], items: Sequence[Item[T]], cost: Cost[T], proposed: Cure[T]) -> Steps[T, Cure[T]]:
    """Confirm what was proposed, or search with the deciding oracle."""
    if not proposed.core or proposed.best is None:
        return (yield from cure(deciding, items, cost))
    for core, best in ((proposed.core, proposed.best), *((other, frozenset(other)) for other in proposed.others)):
        if (yield from deciding.settle(best, Purpose.CONFIRM, deciding.settings.confirmations)):
            if deciding.settings.direct:
                return (yield from cure(deciding, items, cost, best))
            return Cure(Why.FOUND, core, best)
    return (yield from cure(deciding, items, cost, suspects=proposed.core))
