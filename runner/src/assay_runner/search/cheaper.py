"""Larger sets that cost less: casts at the borders of islands can cost more than what lies between them."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence

from assay_runner.search.items import Item, T

__all__ = ["Cost", "cheaper", "summed"]

Cost = Callable[[frozenset[T]], float]
"""What it costs to keep a set wide, in any unit; milliseconds with their casts."""


def summed(items: Iterable[Item[T]]) -> Cost[T]:
    """The sum of what the leaves cost."""
    costs = {leaf.name: leaf.cost for item in items for leaf in item.leaves}
    # Sorted, for a sum of floats depends on its order, and that of a set on the process.
    return lambda kept: sum(sorted(costs[name] for name in kept))


def cheaper(items: Sequence[Item[T]], kept: frozenset[T], cost: Cost[T]) -> list[frozenset[T]]:
    """Larger sets that cost less, the cheapest first: blocks made whole, gaps filled; greedily, without a trial."""
    found: list[frozenset[T]] = []
    here, price = kept, cost(kept)
    while True:
        priced = [(cost(larger), index, larger) for index, larger in enumerate(_larger(items, here))]
        if not priced or min(priced)[0] >= price:
            return found[::-1]
        price, _, here = min(priced)
        found.append(here)


def _larger(items: Sequence[Item[T]], kept: frozenset[T]) -> Iterator[frozenset[T]]:
    order = [name for item in items for name in item.names]
    wide = [at for at, name in enumerate(order) if name in kept]
    for left, right in itertools.pairwise(wide):
        if right > left + 1:
            yield kept | frozenset(order[left:right])
    for block in _blocks(items):
        names = frozenset(block.names)
        if names & kept and not names <= kept:
            yield kept | names


def _blocks(items: Iterable[Item[T]]) -> Iterator[Item[T]]:
    for item in items:
        if item.parts:
            yield item
            yield from _blocks(item.parts)
