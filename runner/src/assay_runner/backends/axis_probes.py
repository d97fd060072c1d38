"""Along which axis of a tensor its samples lie, measured: fed in another order, what they make lies in that order.

Lengths prove nothing: another axis may be as long, and a tensor as long for any number of samples may still hold all of
them. Values do: along the axis of samples, and along no other, they move as the samples do.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Final, NamedTuple

import numpy as np

from assay_runner.backends.backend import Session
from assay_runner.errors import InvalidInput
from assay_runner.tensors import Array, Arrays, Batch

CHANGED: Final = 1e-4
"""Share of the sum of magnitudes: what another order changes less may be the rounding of another kernel."""
LEFT: Final = 0.1
"""Share of a change that may be left once the order is undone; along a wrong axis about all of it is."""
OTHERWISE: Final = (2, 3)
"""Samples that are fed to see whether as many places of each are there in another number: not one alone, of which some
models make another shape."""
BLOCK: Final = 1 << 16
"""Elements."""


Undone = Callable[[str, Array, Array], None]
"""Told of a tensor what two runs made of the same samples, in the same order and along the first axis of both."""


class Followed(NamedTuple):
    """What a tensor made of its samples' order."""

    changed: bool
    """Whether another order changed it at all; else nothing can be told."""
    axes: tuple[int, ...]
    """Axes along which it changed as the order did; more than one where each does, or all of them at once."""
    last: tuple[int, ...] = ()
    """Of a tensor without such axes, those along which the last sample changes what is last, and nothing before it: as
    where samples are gone through in order. Others may do so by chance, so that it bears out a declaration, no more."""
    folded: int = 0
    """Without such axes: how many places of each sample its first axis holds, which changed as the order did."""


def picked(given: Array, other: Array, chosen: Sequence[int]) -> int | None:
    """The axis along which a tensor of a few samples holds what that of the whole batch holds of them; None: none does.

    Where one does, the samples keep apart in any number and any order. Where none does, nothing is told.

    Args:
        given: of the batch.
        other: of these of its samples alone, in this order, which is not the batch's; fewer than the batch has.
        chosen: their places in the batch, its last sample's among them.
    """
    differing = [axis for axis, (one, few) in enumerate(zip(given.shape, other.shape, strict=False)) if one != few]
    if given.ndim != other.ndim or len(differing) != 1:
        return None
    [axis] = differing
    if (given.shape[axis], other.shape[axis]) != (max(chosen) + 1, len(chosen)):
        return None
    change = _distance(given.take(sorted(chosen), axis), other)
    if change <= CHANGED * _size(other):
        return None
    return axis if _distance(given.take(chosen, axis), other) <= LEFT * change else None


def followed(
    session: Session,
    batch: Batch,
    tensors: Collection[str],
    known: Arrays | None = None,
    undone: Undone | None = None,
) -> dict[str, Followed]:
    """Run the samples in two orders, and see where these tensors follow; those that are not shown are left out.

    Args:
        session: shows them, and computes as golden does.
        batch: two samples or more.
        tensors: which are asked for.
        known: what the session makes of the samples in the order given, where that was run already.
        undone: told, where there is one axis, what each order made of the samples.

    Raises:
        InvalidInput: it cannot be run on so many samples.
        Unavailable: memory ran out.
    """
    count = batch.fed
    order = np.arange(count)
    first = session.run(batch.inputs) if known is None else known
    given = {name: array for name, array in first.items() if name in tensors}
    del first
    turned = session.run(batch.take(np.roll(order, 1)))
    found: dict[str, Followed] = {}
    for name in [name for name in given if name in turned]:
        # Taken out, so that the memory of each goes back as soon as it was looked at.
        other = turned.pop(name)
        found[name] = _compared(given[name], other, count)
        if undone and len(found[name].axes) == 1:
            [axis] = found[name].axes
            undone(name, np.moveaxis(np.roll(given[name], 1, axis), axis, 0), np.moveaxis(other, axis, 0))
        del other
        if found[name].axes or found[name].folded or not found[name].changed:
            del given[name]
    if given:
        # The first sample in place of the last.
        ended = session.run(batch.take(np.append(order[:-1], 0)))
        for name in [name for name in given if name in ended]:
            found[name] = found[name]._replace(last=_last(given[name], ended[name], count))
    return found


def borne_out(session: Session, batch: Batch, told: dict[str, Followed]) -> dict[str, Followed]:
    """The same, but for places of samples that another number of samples does not have.

    A table of a fixed length, which the rows of one number of samples happen to fill, is no axis of theirs. Where the
    model takes no other number it is taken for one, as where it declares that.

    Args:
        session: makes no fewer tensors than were followed.
        batch: the samples that were followed.
        told: what they showed.

    Raises:
        Unavailable: memory ran out.
    """
    folded = [name for name, each in told.items() if each.folded]
    if not folded:
        return told
    number = next(number for number in OTHERWISE if number != batch.fed)
    try:
        outputs = session.run(batch.take(np.arange(number) % batch.fed))
    except InvalidInput:
        return told
    lost = [name for name in folded if outputs[name].shape[:1] != (told[name].folded * number,)]
    return {name: each._replace(folded=0) if name in lost else each for name, each in told.items()}


def _last(given: Array, other: Array, count: int) -> tuple[int, ...]:
    if given.shape != other.shape or (change := _distance(given, other)) <= CHANGED * _size(given):
        return ()
    axes = [axis for axis, length in enumerate(given.shape) if length == count]
    before = [tuple(np.moveaxis(array, axis, 0)[:-1] for array in (given, other)) for axis in axes]
    return tuple(axis for axis, pair in zip(axes, before, strict=True) if sum(map(_distance, *pair)) <= LEFT * change)


def _compared(given: Array, turned: Array, count: int) -> Followed:
    if given.shape != turned.shape:
        return Followed(changed=True, axes=())
    change, size = _distance(given, turned), _size(given)
    if change <= CHANGED * size:
        return Followed(changed=False, axes=())
    axes = tuple(axis for axis, length in enumerate(given.shape) if length == count)
    held = tuple(axis for axis in axes if _left(given, turned, (axis,)) <= LEFT * change)
    # Of each sample against each, as in a table of similarities, all axes follow, and none alone.
    together = not held and len(axes) > 1 and _left(given, turned, axes) <= LEFT * change
    if together or held or not given.ndim or len(given) <= count or len(given) % count:
        return Followed(True, axes if together else held)
    places = len(given) // count
    if _left(given, turned, (0,), places) > LEFT * change:
        return Followed(True, ())
    steps = (each for each in range(count + 1, places + 1, count) if places % each == 0)
    ambiguous = any(_left(*_by_step(given, turned, each, count), (1,)) <= LEFT * change for each in steps)
    return Followed(True, (), folded=0 if ambiguous else places)


def _by_step(given: Array, turned: Array, steps: int, count: int) -> tuple[Array, Array]:
    """Both read as the rows of all samples in one step, and then those in the next.

    Where steps are alike, and one more than a multiple of the samples, turning either order makes the same.
    """
    shape = (steps, count, -1, *given.shape[1:])
    return given.reshape(shape), turned.reshape(shape)


def _left(given: Array, turned: Array, axes: tuple[int, ...], places: int = 1) -> float:
    """How far the one, turned along these axes, is from the other; row by row, so that little memory is needed.

    Along the first by so many places.
    """
    first, others = axes[0], tuple(axis - (axis > axes[0]) for axis in axes[1:])
    before, after = np.moveaxis(given, first, 0), np.moveaxis(turned, first, 0)
    moved = (before[row - places] for row in range(len(after)))
    rows = (np.roll(row, 1, others) if others else row for row in moved)
    return sum(_distance(row, other) for row, other in zip(rows, after, strict=True))


def _distance(first: Array, second: Array) -> float:
    """Sum of absolute differences, of numbers that are finite in both; of integers, how many differ."""
    if first.dtype.kind in "biu":
        return float(np.count_nonzero(first != second))
    return sum(_apart(one, other) for one, other in zip(_blocks(first), _blocks(second), strict=True))


def _size(array: Array) -> float:
    if array.dtype.kind in "biu":
        return 0.0
    return sum(_magnitude(block) for block in _blocks(array))


def _blocks(array: Array) -> Iterator[Array]:
    """In double precision, small enough to stay in cache."""
    flat = array.reshape(-1)
    return (flat[start : start + BLOCK].astype(np.float64) for start in range(0, array.size, BLOCK))


def _apart(one: Array, other: Array) -> float:
    """Sum of absolute differences; where either is not finite, 1 in place of a number and 0 of others."""
    with np.errstate(invalid="ignore", over="ignore"):
        found = float(np.abs(one - other).sum())
    if np.isfinite(found):
        return found
    there = np.isfinite(one), np.isfinite(other)
    both = there[0] & there[1]
    return float(np.abs(np.where(both, one, there[0]) - np.where(both, other, there[1])).sum())


def _magnitude(block: Array) -> float:
    """Sum of magnitudes of what is finite."""
    found = float(np.abs(block).sum())
    return found if np.isfinite(found) else float(np.abs(block[np.isfinite(block)]).sum())
