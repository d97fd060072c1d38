"""Parts of an output that differ in scale, each held against its own: boxes in pixels hide whatever becomes of scores.

One ratio of powers over all says nothing of a part that is FACTOR times smaller: were it lost whole, noise would still
be 18 dB below the rest. So parts are put into groups by scale, and each group has figures of its own.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from assay_runner.statistics.blocks import cosine, snr
from assay_runner.tensors import Array, Floats

FACTOR: Final = 8.0
"""Between scales that are judged apart: 20 log10(8) is 18 dB, more than the 17 dB that are asked for by default."""
DEAD: Final = 1e-4
"""Share of the largest magnitude: what stays below is nothing that these data bring about."""
QUIET: Final = 0.01
"""What has magnitudes up to 1 by its operator, and stays below this, is no more than two of the 255 steps that 8 bits
have over that range: nothing that these data hold, and nothing that 8 bits could."""
TOLD: Final = 6
"""Runs of channels that are told, of more the first."""
COLUMNS: Final = 6
SIGNAL, NOISE, DOT, POWER, PEAK, COMPARED = range(COLUMNS)
"""Columns of a part's sums: golden squared, difference squared, golden times candidate, candidate squared, largest
magnitude of golden, elements."""


class Part(NamedTuple):
    """Channels of an output that belong together.

    Attributes:
        start: the first.
        stop: behind the last.
        bounded: whether magnitudes up to 1 are of one scale, as where an operator gives no others, whatever the data.
        more: where there are others behind, those too: the first, and behind the last of each run.
        every: after how many channels they come again; 0: they do not.
        word: what they are called.
    """

    start: int
    stop: int
    bounded: bool
    more: tuple[tuple[int, int], ...] = ()
    every: int = 0
    word: str = "channel"

    @property
    def runs(self) -> tuple[tuple[int, int], ...]:
        """All of it, in order: the first, and behind the last of each run."""
        return ((self.start, self.stop), *self.more)

    @property
    def size(self) -> int:
        """How many channels."""
        return sum(stop - start for start, stop in self.runs)


@dataclass(frozen=True)
class Cut:
    """How an output is put together.

    Attributes:
        axis: along which axis, samples being the first; 0: along all others, laid out as one.
        parts: of all channels, each in one of them.
        period: after how many places along the axis the channels come again; 0: they do not.
    """

    axis: int
    parts: tuple[Part, ...]
    period: int = 0

    def fits(self, shape: tuple[int, ...]) -> bool:
        """Whether an output of this shape can be cut so."""
        if len(shape) < 2 or not 0 <= self.axis < len(shape) or 0 in shape:
            return False
        length = shape[self.axis] if self.axis else math.prod(shape[1:])
        channels = sum(part.size for part in self.parts)
        return length % channels == 0 if self.period else length == channels

    def taken(self, array: Array) -> list[Array]:
        """The parts of an output that can be cut so, (samples, elements) each."""
        rows = array if self.axis else array.reshape(len(array), -1)
        axis = self.axis or 1
        if self.period:
            rows = rows.reshape(*rows.shape[:axis], -1, self.period, *rows.shape[axis + 1 :])
            axis += 1
        found = (rows[(slice(None),) * axis + (_chosen(part),)] for part in self.parts)
        return [each.reshape(len(each), math.prod(each.shape[1:])) for each in found]


def _chosen(part: Part) -> slice | NDArray[np.intp]:
    if not part.more:
        return slice(part.start, part.stop)
    return np.concatenate([np.arange(start, stop) for start, stop in part.runs])


@dataclass(frozen=True)
class Group:
    """Parts of one scale.

    Attributes:
        members: indices of the parts.
        largest: largest magnitude of golden.
        judged: whether there is enough in it to be judged for itself.
    """

    members: tuple[int, ...]
    largest: float
    judged: bool

    def channels(self, parts: Sequence[Part]) -> str:
        """Its channels in words, for example `channels 0–3 and 84`."""
        own = [parts[index] for index in self.members]
        runs: list[list[int]] = []
        for start, stop in sorted(run for part in own for run in part.runs):
            if runs and runs[-1][1] == start:
                runs[-1][1] = stop
            else:
                runs.append([start, stop])
        told = [str(start) if stop == start + 1 else f"{start}–{stop - 1}" for start, stop in runs]
        several = len(told) > 1 or "–" in told[0]
        told = told if len(told) <= TOLD else [*told[:TOLD], f"{len(told) - TOLD} other runs of them"]
        listed = " and ".join(filter(None, (", ".join(told[:-1]), told[-1])))
        every = f" of every {own[0].every}" if own[0].every else ""
        return f"{own[0].word}{'s' if several else ''} {listed}{every}"


def groups(parts: Sequence[Part], sums: Floats) -> tuple[Group, ...]:
    """The parts by scale, the largest first; none where all are of one scale.

    The scale of a part is the largest magnitude of golden over all samples; of what is bounded by its operator it is
    that bound. A part that is next to nothing beside the largest is no group: it goes with the smallest that is one.

    Args:
        parts: P of them.
        sums: (samples, P, COLUMNS).
    """
    if len(parts) < 2 or not sums.size:
        return ()
    peaks = sums[:, :, PEAK].max(axis=0)
    scales = np.where([part.bounded for part in parts], np.maximum(1.0, peaks), peaks)
    found: list[list[int]] = []
    dead: list[int] = []
    for index in map(int, np.argsort(-scales, kind="stable")):
        if not peaks[index] or (not parts[index].bounded and peaks[index] <= DEAD * peaks.max()):
            dead.append(index)
        elif found and scales[index] * FACTOR >= scales[found[-1][0]]:
            found[-1].append(index)
        else:
            found.append([index])
    if len(found) < 2:
        return ()
    found[-1] += dead
    return tuple(_group(members, parts, peaks) for members in found)


def _group(members: Sequence[int], parts: Sequence[Part], peaks: Floats) -> Group:
    largest = max(float(peaks[index]) for index in members)
    loose = any(not parts[index].bounded and peaks[index] == largest for index in members)
    return Group(tuple(sorted(members)), largest, loose or largest >= QUIET)


@dataclass(frozen=True)
class GroupFigures:
    """Figures of a group, one per sample, as of an output of its own.

    A sample in which there is less than usual, as an image without objects, is held against what is usual, the mean
    over the samples: rounding what is near nothing anyway is no loss.
    """

    snr: Floats
    psnr: Floats
    cosine: Floats


def figures(sums: Floats, members: Sequence[int], samples: NDArray[np.intp]) -> GroupFigures:
    """The figures of a group in these samples.

    Args:
        sums: (samples, P, COLUMNS), of all samples.
        members: its parts.
        samples: which samples are asked for, all of them without NaN and infinities.
    """
    own = sums[samples][:, [*members]]
    signal, noise, dot, power = (own[:, :, column].sum(axis=1) for column in (SIGNAL, NOISE, DOT, POWER))
    peak, compared = own[:, :, PEAK].max(axis=1), own[:, :, COMPARED].sum(axis=1)
    usual, usual_peak = (np.maximum(value, value.mean()) for value in (signal, peak))
    sound = np.zeros(len(samples), np.bool_)
    # What is missing to the usual power is taken for the same in both.
    missing = usual - signal
    return GroupFigures(
        snr=snr(usual, noise, sound),
        psnr=snr(usual_peak**2, noise / np.maximum(1, compared), sound),
        cosine=cosine(usual, power + missing, dot + missing, sound),
    )


def elements(sums: Floats, members: Sequence[int]) -> int:
    """Elements of a group in a sample, at most."""
    return int(sums[:, list(members), COMPARED].sum(axis=1).max()) if sums.size else 0
