"""What can be kept wide: nodes, groups of nodes that the builder fuses, and the blocks that hold them."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Generic, TypeVar

__all__ = ["Item", "T", "checked", "leaves_of", "restricted"]

T = TypeVar("T", bound=Hashable)


@dataclass(frozen=True)
class Item(Generic[T]):
    """A node or group (no parts), or a block of such; to any depth.

    Attributes:
        name: unique among all items; sets that are tried hold names of items without parts.
        prior: how suspicious it is, on any scale: only the order counts. Infinite is the most, equal is no difference.
        cost: of keeping it wide; of a block, what its parts sum up to is taken instead.
        parts: what it holds, in the order of the graph.
    """

    name: T
    prior: float = 0.0
    cost: float = 1.0
    parts: tuple[Item[T], ...] = ()

    @cached_property
    def leaves(self) -> tuple[Item[T], ...]:
        """Itself, or all that it holds that has no parts."""
        return tuple(leaf for part in self.parts for leaf in part.leaves) if self.parts else (self,)

    @cached_property
    def names(self) -> tuple[T, ...]:
        """Of its leaves."""
        return tuple(leaf.name for leaf in self.leaves)

    @cached_property
    def suspicion(self) -> float:
        """The highest prior in it."""
        return max([self.prior, *(part.suspicion for part in self.parts)])


def leaves_of(items: Iterable[Item[T]]) -> list[T]:
    """Names of all leaves, in order."""
    return [name for item in items for name in item.names]


def restricted(items: Iterable[Item[T]], kept: frozenset[T]) -> list[Item[T]]:
    """The items without the leaves that are not in `kept`; those left empty are left out."""
    left = []
    for item in items:
        if not item.parts:
            left += [item] if item.name in kept else []
        elif parts := tuple(restricted(item.parts, kept)):
            left.append(Item(item.name, item.prior, item.cost, parts))
    return left


def _all(items: Iterable[Item[T]]) -> Iterator[Item[T]]:
    for item in items:
        yield item
        yield from _all(item.parts)


def checked(items: Iterable[Item[T]]) -> Sequence[Item[T]]:
    """The items as they are.

    Raises:
        ValueError: there are none, a name occurs twice, or a prior or cost is not a number.
    """
    items = tuple(items)
    if not items:
        raise ValueError("there is nothing to search: no items")
    twice = [name for name, times in Counter(item.name for item in _all(items)).items() if times > 1]
    if twice:
        raise ValueError(f"{twice[0]!r} names more than one item")
    for item in _all(items):
        if math.isnan(item.prior) or not 0 <= item.cost < math.inf:
            raise ValueError(f"{item.name!r}: prior must be a number and cost a finite one, not below 0")
    return items
