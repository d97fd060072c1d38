"""A set from which nothing can be left out, where leaving more out may pass again: ddmin (Zeller and Hildebrandt 2002).

It assumes nothing, and takes up to n^2 trials: for few items only.
"""

from __future__ import annotations

from collections.abc import Sequence

from assay_runner.search.asking import Asking
from assay_runner.search.items import T
from assay_runner.search.trials import Purpose, Steps

__all__ = ["ddmin", "without_each"]


def ddmin(asking: Asking[T], leaves: Sequence[T]) -> Steps[T, list[T]]:
    """A part of a passing set that passes, and of which no single leaf can be left out."""
    left, pieces = list(leaves), 2
    while len(left) >= 2:
        size = len(left)
        cut = [left[piece * size // pieces : (piece + 1) * size // pieces] for piece in range(pieces)]
        others = [[leaf for leaf in left if leaf not in set(part)] for part in cut] if pieces > 2 else []
        for index, part in enumerate([*cut, *others]):
            if (yield from asking.settle(frozenset(part), Purpose.PROVE)):
                left, pieces = part, (2 if index < len(cut) else max(pieces - 1, 2))
                break
        else:
            if pieces >= size:
                break
            pieces = min(size, 2 * pieces)
    if len(left) == 1 and (yield from asking.settle(frozenset(), Purpose.PROVE)):
        return []
    return left


def without_each(asking: Asking[T], leaves: Sequence[T], direct: bool) -> Steps[T, list[T]]:
    """Leave out what a repeated trial says is not needed, until every single one is.

    Args:
        asking: the oracle.
        leaves: of a set that passes.
        direct: whether to try also what is implied by the failure of a larger set, beyond doubt.
    """
    left, removed = list(leaves), True
    while removed:
        removed = False
        for leaf in list(left):
            fewer = frozenset(other for other in left if other != leaf)
            if not direct and _implied(asking, fewer):
                continue
            if (yield from asking.settle(fewer, Purpose.PROVE)):
                left.remove(leaf)
                removed = True
    return left


def _implied(asking: Asking[T], kept: frozenset[T]) -> bool:
    return any(kept <= failing and asking.certain(failing) for failing in asking.failing())
