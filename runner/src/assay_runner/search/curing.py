"""The whole search with one oracle: from a failing model to the cheapest set that cures it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final, Generic

from assay_runner.search.asking import Asking
from assay_runner.search.cheaper import Cost, cheaper
from assay_runner.search.items import Item, T, leaves_of, restricted
from assay_runner.search.outcome import Why, violation
from assay_runner.search.splitting import Astray, needed
from assay_runner.search.survivors import ddmin, without_each
from assay_runner.search.trials import Purpose, Steps

__all__ = ["Cure", "cure"]

_SURVIVORS: Final = 20
"""Most leaves on which quadratic effort is spent."""


@dataclass(frozen=True)
class Cure(Generic[T]):
    """What a search ends with.

    Attributes:
        why: it ended.
        core: leaves of a set that nothing can be left out of.
        best: the cheapest set that contains them.
        others: cores that cost more.
    """

    why: Why
    core: tuple[T, ...] | None = None
    best: frozenset[T] | None = None
    others: tuple[tuple[T, ...], ...] = ()


def cure(
    asking: Asking[T],
    items: Sequence[Item[T]],
    cost: Cost[T],
    start: frozenset[T] | None = None,
    suspects: Sequence[T] = (),
) -> Steps[T, Cure[T]]:
    """The cheapest passing set that can be found.

    Args:
        asking: the oracle.
        items: all.
        cost: of sets.
        start: what is wide to begin with, where that is known to pass; None: all.
        suspects: leaves that are likely to be needed.

    Raises:
        Spent: of the oracle.
        Contradicted: by the oracle.
    """
    start = start or frozenset(leaves_of(items))
    if not (yield from asking.settle(start, Purpose.ENDS)):
        passing = yield from _beyond(asking, items)
        if passing is None:
            return Cure(Why.WIDE_FAILS if asking.refuted(start) else Why.INCONCLUSIVE)
        start, suspects = passing, ()
    if (yield from asking.settle(frozenset(), Purpose.ENDS)):
        return Cure(Why.FOUND, (), frozenset())
    core = yield from _smallest(asking, restricted(items, start), suspects)
    if core is None:
        return Cure(Why.INCONCLUSIVE)
    cores = [core]
    for _ in range(asking.settings.alternatives):
        other = yield from _alternative(asking, items, cores)
        if other is None:
            break
        cores.append(other)
    first, *others = sorted(cores, key=lambda leaves: cost(frozenset(leaves)))
    return replace((yield from _chosen(asking, items, first, cost)), others=tuple(others))


def _chosen(asking: Asking[T], items: Sequence[Item[T]], core: tuple[T, ...], cost: Cost[T]) -> Steps[T, Cure[T]]:
    """Finish with a core; where later trials show that more wide does harm, see again that nothing can be spared."""
    while True:
        seen = yield from _harmed(asking)
        if seen:
            core = yield from _survivors(asking, list(core))
        ended = yield from _finish(asking, items, core, cost)
        if seen or violation(asking, certain=False) is None:
            return ended
        if not (yield from _harmed(asking)):
            return ended


def _finish(asking: Asking[T], items: Sequence[Item[T]], core: Sequence[T], cost: Cost[T]) -> Steps[T, Cure[T]]:
    """Take a larger set where one costs less and passes; confirm what is taken.

    Args:
        asking: the oracle.
        items: all.
        core: leaves of a set that passes.
        cost: of sets.
    """
    for larger in [*cheaper(items, frozenset(core), cost), frozenset(core)]:
        purpose = Purpose.CHEAPER if len(larger) > len(core) else Purpose.CONFIRM
        if (yield from asking.settle(larger, purpose, asking.settings.confirmations)):
            return Cure(Why.FOUND, tuple(core), larger)
    return Cure(Why.INCONCLUSIVE)


def _smallest(
    asking: Asking[T], items: Sequence[Item[T]], suspects: Sequence[T] = ()
) -> Steps[T, tuple[T, ...] | None]:
    """Leaves of a set that passes and from which none can be left out, as sure as can be told.

    Args:
        asking: the oracle.
        items: that are wide to begin with, and pass; none of them fails.
        suspects: leaves that are kept until all else is known.

    Returns:
        In the order of the graph. None: answers led astray too often.
    """
    for _ in range(asking.settings.restarts):
        try:
            core = yield from _split(asking, items, suspects)
        except Astray:
            continue
        if (yield from asking.settle(frozenset(core), Purpose.CONFIRM)):
            return (yield from _nothing_to_spare(asking, core))
        yield from _go_back(asking, frozenset(core))
    return None


def _split(asking: Asking[T], items: Sequence[Item[T]], suspects: Sequence[T]) -> Steps[T, list[T]]:
    kept = frozenset(suspects)
    leaves = leaves_of(items)
    others = restricted(items, frozenset(leaves) - kept)
    found = yield from needed(asking, others, list(suspects), tainted=asking.belief(kept) < 0)
    if kept:
        alone = [leaf for item in restricted(items, kept) for leaf in item.leaves]
        found += yield from needed(asking, alone, found, tainted=asking.belief(frozenset(found)) < 0)
    chosen = set(found)
    return [leaf for leaf in leaves if leaf in chosen]


def _nothing_to_spare(asking: Asking[T], core: list[T]) -> Steps[T, tuple[T, ...]]:
    core = yield from without_each(asking, core, asking.settings.direct)
    return (yield from _survivors(asking, core)) if (yield from _harmed(asking)) else tuple(core)


def _survivors(asking: Asking[T], core: list[T]) -> Steps[T, tuple[T, ...]]:
    """What is left of a core, assuming nothing."""
    if len(core) > _SURVIVORS:
        return tuple(core)
    core = yield from ddmin(asking, core)
    return tuple((yield from without_each(asking, core, direct=True)))


def _harmed(asking: Asking[T]) -> Steps[T, bool]:
    """Whether it is beyond doubt that more wide did harm somewhere."""
    while pair := violation(asking, certain=False):
        for kept in pair:
            yield from asking.settle(kept, Purpose.CONFIRM)
        if violation(asking):
            return True
        if pair == violation(asking, certain=False):
            return False
    return False


def _go_back(asking: Asking[T], core: frozenset[T]) -> Steps[T, None]:
    """A core failed after all: settle the sets on the way to it, the smallest first, until one does pass."""
    way = sorted((kept for kept in asking.passing() if core < kept), key=len)
    for kept in way:
        if (yield from asking.settle(kept, Purpose.CONFIRM)):
            return


def _alternative(
    asking: Asking[T], items: Sequence[Item[T]], cores: Sequence[tuple[T, ...]]
) -> Steps[T, tuple[T, ...] | None]:
    taken = {leaf for core in cores for leaf in core}
    others = frozenset(leaf for leaf in leaves_of(items) if leaf not in taken)
    if not others or not (yield from asking.settle(others, Purpose.ALTERNATIVE, asking.settings.confirmations)):
        return None
    return (yield from _smallest(asking, restricted(items, others)))


def _beyond(asking: Asking[T], items: Sequence[Item[T]]) -> Steps[T, frozenset[T] | None]:
    """A set that passes although all wide does not; None where the trials that may be spent on it show none."""
    for tried, kept in enumerate(_halves(items)):
        if tried >= asking.settings.beyond:
            break
        if (yield from asking.settle(kept, Purpose.BEYOND)):
            return kept
    return None


def _halves(items: Sequence[Item[T]]) -> Iterator[frozenset[T]]:
    """The most suspicious alone; then, by the digits of ranks, halves that tell any two leaves apart."""
    leaves = sorted((leaf for item in items for leaf in item.leaves), key=lambda leaf: -leaf.suspicion)
    yield frozenset([leaves[0].name])
    for value in (0, 1):
        for digit in range((len(leaves) - 1).bit_length()):
            yield frozenset(leaf.name for rank, leaf in enumerate(leaves) if rank >> digit & 1 == value)
