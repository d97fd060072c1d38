"""Which items are needed, where having more wide never does harm: group testing by generalised binary splitting.

A trial leaves a group out. Passes: none of the group is needed, and it stays out. Fails: at least one is, and the group
is halved until it is found; what was in the group beside it is as free as before (Sobel and Groll 1959, Hwang 1972).
Their group sizes follow from how many items are needed; ours from `beliefs`, which learn that on the way, and whether
the ranking is worth something: with a good one the first trials gallop up the ranking, with a useless one the groups
are those of Hwang's algorithm.

The set that is wide at any moment passed as a whole, so the best so far is always one that was tried.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final, Generic

from assay_runner.search.asking import Asking
from assay_runner.search.beliefs import Beliefs, octaves
from assay_runner.search.items import Item, T, leaves_of
from assay_runner.search.trials import Purpose, Steps

__all__ = ["Astray", "needed"]


_CERTAIN: Final = 12 * math.log(2)
"""Log odds that a certain answer is credited with."""


class Astray(Exception):
    """A set that passed does not: the search is to begin again from what is known by now."""


@dataclass
class _State(Generic[T]):
    """Items by position, the least suspicious first.

    Attributes:
        items: all of them.
        octaves: of each.
        free: positions of which nothing is known.
        tainted: positions of which at least one is needed, or none.
        found: positions of those that are needed.
        fails: failing trials since the last that passed.
    """

    items: list[Item[T]]
    octaves: list[int]
    free: list[int] = field(default_factory=list)
    tainted: list[int] = field(default_factory=list)
    found: list[int] = field(default_factory=list)
    fails: int = 0

    @classmethod
    def of(cls, items: Sequence[Item[T]], tainted: bool) -> _State[T]:
        by_item = octaves([item.suspicion for item in items])
        order = sorted(range(len(items)), key=lambda index: -by_item[index])
        state = cls([items[index] for index in order], [by_item[index] for index in order])
        state.free, state.tainted = ([], list(range(len(items)))) if tainted else (list(range(len(items))), [])
        return state

    def wide(self, left_out: Iterable[int] = ()) -> list[T]:
        gone = set(left_out)
        return leaves_of(self.items[at] for at in (*self.free, *self.tainted, *self.found) if at not in gone)


def needed(asking: Asking[T], items: Sequence[Item[T]], keep: Sequence[T], tainted: bool) -> Steps[T, list[T]]:
    """Leaves of the items that are needed beside those in `keep`, which are wide throughout.

    Blocks first, then what is in those that are needed. All items wide, and `keep`, must pass.

    Args:
        asking: the oracle.
        items: to choose from.
        keep: leaves of other items.
        tainted: whether it is known that at least one is needed.

    Raises:
        Astray: what passed does not.
        Spent: of the oracle.
    """
    if not items:
        return []
    blocks = yield from _one_level(asking, items, keep, tainted)
    parts: list[list[T]] = [list(block.names) for block in blocks]
    for index, block in enumerate(blocks):
        if len(block.leaves) > 1:
            beside = [leaf for other, leaves in enumerate(parts) if other != index for leaf in leaves]
            parts[index] = yield from needed(asking, block.parts, [*keep, *beside], tainted=True)
    return [leaf for leaves in parts for leaf in leaves]


def _one_level(
    asking: Asking[T], items: Sequence[Item[T]], keep: Sequence[T], tainted: bool
) -> Steps[T, list[Item[T]]]:
    state = _State.of(items, tainted)
    beliefs = Beliefs(state.octaves)
    while state.free or state.tainted:
        if len(state.tainted) == 1:
            _found(state, beliefs)
            continue
        group = state.tainted or state.free
        size = beliefs.half([state.octaves[at] for at in group], bool(state.tainted))
        out = group[:size]
        passes = yield from asking.holds(frozenset([*keep, *state.wide(out)]), Purpose.NARROW)
        state.fails = 0 if passes else state.fails + 1
        _learn(state, beliefs, out, passes)
        if not passes:
            wide = frozenset([*keep, *state.wide()])
            yield from _doubt(asking, wide, state.fails, asking.in_a_row(wide))
    return [state.items[at] for at in sorted(state.found)]


def _found(state: _State[T], beliefs: Beliefs) -> None:
    (at,) = state.tainted
    state.found.append(at)
    state.tainted = []
    beliefs.learn_needed(state.octaves[at])


def _learn(state: _State[T], beliefs: Beliefs, out: list[int], passes: bool) -> None:
    gone = set(out)
    if passes:
        beliefs.learn_not_needed(state.octaves[at] for at in out)
        if state.tainted:
            state.tainted = [at for at in state.tainted if at not in gone]
        else:
            state.free = [at for at in state.free if at not in gone]
        return
    state.free = sorted({*state.free, *state.tainted} - gone)
    state.tainted = out


def _doubt(asking: Asking[T], wide: frozenset[T], fails: int, in_all: int) -> Steps[T, None]:
    """Ask again whether what is wide passes, where more trials failed in a row than luck explains.

    Each of them is as likely to pass as to fail, if the wide set passes; if it does not, all fail. Certain answers are
    doubted too, where the chance of so many is one in thousands: one answer more costs little against hundreds.

    Args:
        asking: the oracle.
        wide: the smallest set that passed.
        fails: trials that failed in a row, of the blocks that are looked at.
        in_all: those of all blocks since it passed.
    """
    while in_all * math.log(2) >= asking.belief(wide) or fails * math.log(2) >= _CERTAIN * asking.answers(wide):
        if asking.answers(wide) >= asking.settings.repeats:
            return
        yield from asking.ask(wide, Purpose.CONFIRM)
        if asking.belief(wide) <= 0:
            raise Astray
