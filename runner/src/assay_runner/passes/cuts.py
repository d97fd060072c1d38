"""Of what parts outputs are judged: of those that operators put together, and those that golden's values tell apart."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from assay_runner.golden.reference import Reference
from assay_runner.graphs.channel_parts import MOST, Parts
from assay_runner.graphs.uniform_axes import Alike, uniform_axes
from assay_runner.statistics.layouts import PICTURE, Layout, layout
from assay_runner.statistics.scales import COLUMNS, DEAD, PEAK, Cut, Part, groups
from assay_runner.tensors import Array

UNKNOWN: Final = Alike(frozenset(), 0)


def measured_cuts(reference: Reference, parts: Mapping[str, Parts]) -> dict[str, Cut]:
    """Outputs in which golden's values tell parts apart that operators do not, and how those are cut.

    Args:
        reference: golden.
        parts: of the outputs that operators put together.
    """
    alike, axes = uniform_axes(reference.model.path), reference.axes(inner=False).axes
    # Of what operators prove nothing: lengths that the model leaves to the data are those of pictures, not of channels.
    free = {spec.name: _undeclared(spec.shape) for spec in reference.model.outputs}
    found: dict[str, Cut] = {}
    for name, seen in reference.peaks.items():
        if (peaks := seen.largest) is None:
            continue
        rank, samples = peaks.ndim + 1, axes.get(name)
        proved = alike.get(name, UNKNOWN)
        if not proved.rank and peaks.ndim >= PICTURE:
            proved = free.get(name, UNKNOWN)
        uniform = {_place(axis, proved.rank, rank, samples) for axis in proved.axes}
        told = layout(peaks, [axis for axis in range(peaks.ndim) if axis + 1 not in uniform])
        if told is None:
            continue
        own = cut_of(parts[name], rank, samples) if name in parts else None
        if made := _together(told, peaks, own if own and own.fits((1, *peaks.shape)) else None, seen.varying):
            found[name] = made
    return found


def _undeclared(shape: Sequence[int | str | None]) -> Alike:
    return Alike(frozenset(axis for axis, size in enumerate(shape) if not isinstance(size, int)), len(shape))


def cut_of(parts: Parts, rank: int, samples: int | None) -> Cut:
    """How an output is cut whose samples are its first axis now.

    Args:
        parts: by the axes that the model gives it.
        rank: that it has now.
        samples: where the model has its samples; None: nowhere. Along these nothing is cut.
    """
    place = _place(parts.axis, parts.rank, rank, samples)
    return Cut(place or -1, parts.parts)


def _place(axis: int, before: int, rank: int, samples: int | None) -> int:
    """Where an axis of the model's is once the samples are the first of `rank` axes; 0: the samples are along it.

    Where there is one axis more than the model's `before`, all of the output is a sample's.
    """
    if rank > before:
        return axis + 1
    return 0 if axis == samples else axis + (samples is not None and axis < samples)


def _together(told: Layout, peaks: Array, own: Cut | None, varying: float) -> Cut | None:
    """By what golden tells and what operators do; None where operators tell no less."""
    mine = _cut(told, peaks, varying)
    if own is None or not (share := _share(own, peaks)):
        return mine
    if mine.axis == own.axis and not mine.period:
        return _refined(own, mine)
    return None if share >= told.share else mine


def _cut(told: Layout, peaks: Array, varying: float) -> Cut:
    """By what golden tells alone: its scales are scales, but for what is next to nothing beside what varies."""
    word = "element" if told.axis is None and not told.period else "channel"
    parts = [Part(*scale[0], True, scale[1:], told.period, word) for scale in told.scales]
    cut = Cut(0 if told.axis is None else told.axis + 1, tuple(parts), told.period)
    dead = DEAD * varying
    sizes = (float(taken.max()) for taken in cut.taken(peaks[None]))
    kept = (part._replace(bounded=max(size, 1.0) > dead) for part, size in zip(parts, sizes, strict=True))
    return replace(cut, parts=tuple(kept))


def _refined(own: Cut, mine: Cut) -> Cut:
    """What operators put together, cut where golden's values tell more."""
    parts: list[Part] = []
    for part in own.parts:
        inside = [(max(a, part.start), min(b, part.stop), m.bounded) for m in mine.parts for a, b in m.runs]
        pieces = sorted(piece for piece in inside if piece[0] < piece[1])
        parts += [part] if len(pieces) == 1 else [Part(*piece) for piece in pieces]
    return replace(own, parts=tuple(parts)) if len(parts) <= MOST else mine


def _share(own: Cut, peaks: Array) -> float:
    """Of the elements, those that are not of the largest scale; 0 where operators put together one scale only."""
    sums = np.zeros((1, len(own.parts), COLUMNS))
    sums[0, :, PEAK] = [part.max() for part in own.taken(peaks[None])]
    apart = groups(own.parts, sums)
    total = sum(part.size for part in own.parts)
    return math.fsum(own.parts[index].size for group in apart[1:] for index in group.members) / total
