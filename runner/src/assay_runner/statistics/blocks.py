"""Sums over the difference of two tensors, block by block.

A tensor of a hundred megabytes in float64 would be two hundred more, and slow: memory, not arithmetic, is what such
sums wait for. So both tensors are read once, in blocks whose copies stay in cache.

Two tensors in FP32 are subtracted and multiplied in FP32, which takes half the time: see `products`. All others, and
blocks in which that would lose something, are summed in float64.

Values that are not finite: NaN in both and equal infinities differ by nothing. NaN or an infinity that the other tensor
does not have makes the pair bad: nothing that follows from it may pass.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from assay_runner.statistics.products import Block, Room, dot, exact_largest, products, squares, suits
from assay_runner.tensors import Array, Floats

BLOCK: Final = 1 << 18
"""Elements: fewer, and threads wait for one another between them longer than it takes to read from the last cache."""
RESOLVED = 1e-12
LEAST: Final = 2.0**-800
MOST: Final = 2.0**800
"""Sums of squares between which no digit of a difference is lost; others are of numbers scaled by a power of two."""
LEFT: Final = 1 / 4
"""Share of golden's power that a candidate must have for sums in FP32 to tell the angle between them."""


@dataclass
class Sums:
    """Sums over all elements seen so far.

    Attributes:
        signal: golden squared.
        noise: candidate minus golden, squared.
        cross: golden times difference; None: not summed, so that there is no cosine.
        largest: largest absolute difference.
        bad: whether a value was not finite and not matched.
        elements: elements seen.
        power: of two, by which all was scaled whose squares are summed, so that float64 holds them.
    """

    signal: float = 0.0
    noise: float = 0.0
    cross: float | None = 0.0
    largest: float = 0.0
    bad: bool = False
    elements: int = 0
    power: int = 0

    def add(self, golden: Array, candidate: Array, look: Callable[[Array, Array], None] | None = None) -> None:
        """Take two tensors of one size in: any real or boolean element types.

        Args:
            golden: one tensor.
            candidate: the other.
            look: is shown every block of both while it is in cache, so that nobody needs to read the tensors again.
        """
        add_together(golden, [(self, candidate)], look)

    def take(self, block: Block, candidate: Array) -> None:
        """Take a block in, for `add_together`."""
        if block.power is None or not suits(candidate) or not self._take_single(block, candidate):
            self._take_wide(block, candidate)

    def _take_single(self, block: Block, candidate: Array) -> bool:
        """In FP32; False, and nothing is taken in, where that would lose something."""
        assert block.power is not None
        difference = np.subtract(candidate, block.array, out=block.room.single[: candidate.size])
        least, most = float(difference.min()), float(difference.max())
        # Most often nothing differs, or something does; NaN is neither.
        if least == most == 0.0:
            self.signal += block.power
            return True
        noise = squares(difference)
        cross = 0.0 if self.cross is None else products(block.array, difference)
        # Where next to nothing is left of golden, a cosine is told by what three sums leave of one another.
        if noise is None or (self.cross is not None and block.power + 2 * cross + noise < LEFT * block.power):
            return False
        self.signal += block.power
        self.noise += noise
        if self.cross is not None:
            self.cross += cross
        if max(most, -least) >= np.float32(self.largest):
            self.largest = max(self.largest, exact_largest(block.array, candidate, difference, max(most, -least)))
        return True

    def _take_wide(self, block: Block, candidate: Array) -> None:
        wide, signal, difference = block.wide, block.signal, block.room.difference[: candidate.size]
        np.copyto(difference, candidate)
        np.subtract(difference, wide, out=difference)
        least, most = float(difference.min()), float(difference.max())
        if least == most == 0.0 and not self.power and LEAST < signal < MOST:
            self.signal += signal
            return
        noise = dot(difference, difference)
        if not math.isfinite(noise) or not math.isfinite(signal):
            wide, found, unmatched = matched(block.array.astype(np.float64), candidate.astype(np.float64))
            difference = found - wide
            self.bad = self.bad or bool(unmatched.any())
            signal, noise = dot(wide, wide), dot(difference, difference)
            least, most = float(difference.min()), float(difference.max())
        self.largest = max(self.largest, most, -least)
        power = 0
        if not (LEAST < signal < MOST and LEAST < noise < MOST):
            power = _power(max(float(np.abs(wide).max()), most, -least))
        if power:
            wide, difference = np.ldexp(wide, power), np.ldexp(difference, power)
            signal, noise = dot(wide, wide), dot(difference, difference)
        self._take_sums(signal, noise, 0.0 if self.cross is None else dot(wide, difference), power)

    def _take_sums(self, signal: float, noise: float, cross: float, power: int) -> None:
        """Those of numbers that were scaled by a power of two: the larger numbers' is kept, the others come to that."""
        if not (signal or noise):
            return  # Zeros have no power, and nothing comes to theirs.
        if not (self.signal or self.noise):
            self.power = power
        own, theirs = (2 * (min(self.power, power) - each) for each in (self.power, power))
        self.power = min(self.power, power)
        self.signal = math.ldexp(self.signal, own) + math.ldexp(signal, theirs)
        self.noise = math.ldexp(self.noise, own) + math.ldexp(noise, theirs)
        if self.cross is not None:
            self.cross = math.ldexp(self.cross, own) + math.ldexp(cross, theirs)

    @property
    def max_abs(self) -> float:
        """Largest absolute difference; Inf where bad."""
        return float("inf") if self.bad else self.largest

    @property
    def rms(self) -> float:
        """Root of the mean squared difference; Inf where bad, 0 of nothing."""
        if self.bad:
            return float("inf")
        return math.ldexp(math.sqrt(self.noise / self.elements), -self.power) if self.elements else 0.0

    @property
    def snr(self) -> float:
        """Golden power over the power of the difference, in dB."""
        # As `snr` has it; of one tensor after the other, arrays of one element would take ten times as long.
        if self.bad or self.noise == 0:
            return -math.inf if self.bad else math.inf
        if not self.signal:
            return -math.inf
        # Of Python's numbers, of which infinities differ by NaN without a warning.
        value = 10 * (float(np.log10(self.signal)) - float(np.log10(self.noise)))
        return -math.inf if math.isnan(value) else value

    @property
    def cosine(self) -> float:
        """Cosine similarity; 0 for a candidate a million times smaller than golden, which the sums cannot resolve.

        NaN where bad, or where it was not asked for.
        """
        if self.bad or self.cross is None:
            return math.nan
        power = self.signal + 2 * self.cross + self.noise
        power = power if self.noise == 0 or power > RESOLVED * self.signal else 0.0
        if self.signal <= 0 or power <= 0:
            return float(self.signal == 0 and power == 0)
        value = (self.signal + self.cross) / (math.sqrt(self.signal) * math.sqrt(power))
        return value if math.isnan(value) else min(1.0, max(-1.0, value))


def add_together(
    golden: Array, others: Sequence[tuple[Sums, Array]], look: Callable[[Array, Array], None] | None = None
) -> None:
    """Take tensors of one size in, each into its own sums, all of them in one pass over memory.

    Args:
        golden: what they are held against.
        others: sums and the tensor that they are of, at least one; where that is golden itself it is not read again.
        look: is shown every block of golden and of the first of the others; see `Sums.add`.
    """
    first, arrays = plain(golden).reshape(-1), [plain(array).reshape(-1) for _, array in others]
    room = Room(min(first.size, BLOCK))
    for sums, _ in others:
        sums.elements += first.size
    with np.errstate(invalid="ignore", over="ignore", under="ignore"):
        for start in range(0, first.size, BLOCK):
            block = Block(first[start : start + BLOCK], room)
            for (sums, given), array in zip(others, arrays, strict=True):
                if given is golden and not sums.power and (block.power is not None or LEAST < block.signal < MOST):
                    sums.signal += block.signal if block.power is None else block.power
                else:
                    sums.take(block, array[start : start + BLOCK])
            if look:
                look(block.array, arrays[0][start : start + BLOCK])


def sums_of(golden: Array, candidate: Array) -> Sums:
    """The sums of two tensors of one size; see `Sums.add`."""
    sums = Sums()
    sums.add(golden, candidate)
    return sums


def plain(array: Array) -> Array:
    """bfloat16 as float32, for which numpy has all operations; else the array itself."""
    # The kind is asked first: a name is made anew each time, and this is done for every tensor of every batch.
    return array.astype(np.float32) if array.dtype.kind == "V" and array.dtype.name == "bfloat16" else array


def matched(golden: Floats, candidate: Floats) -> tuple[Floats, Floats, Array]:
    """Both with zeros where either is not finite, and where such a value has no match in the other."""
    both = np.isfinite(golden) & np.isfinite(candidate)
    if both.all():
        return golden, candidate, ~both
    same = (golden == candidate) | (np.isnan(golden) & np.isnan(candidate))
    return np.where(both, golden, 0.0), np.where(both, candidate, 0.0), ~both & ~same


def _power(largest: float) -> int:
    """Of two, that brings the largest magnitude near to 1 where its square is not held; else 0."""
    if not 0 < largest < math.inf or math.sqrt(LEAST) < largest < math.sqrt(MOST):
        return 0
    return -math.frexp(largest)[1]


def snr(signal: Array, noise: Array, bad: Array) -> Floats:
    """10 log10(signal / noise) in dB: +Inf without noise, -Inf where bad or there is noise but no signal."""
    with np.errstate(divide="ignore", invalid="ignore"):
        value = 10 * (np.log10(signal) - np.log10(noise))
    value = np.where(noise == 0, np.inf, value)
    return np.asarray(np.where(bad | np.isnan(value), -np.inf, value), np.float64)


def cosine(signal: Array, power: Array, dot: Array, bad: Array) -> Floats:
    """Cosine similarity dot / sqrt(signal power): two zero vectors give 1, one against another vector 0, bad ones NaN.

    Args:
        signal: golden squared.
        power: candidate squared.
        dot: golden times candidate.
        bad: whether a value was not finite and not matched.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        value = np.clip(dot / (np.sqrt(signal) * np.sqrt(power)), -1.0, 1.0)
    value = np.where((signal <= 0) | (power <= 0), 0.0, value)
    value = np.where((signal == 0) & (power == 0), 1.0, value)
    return np.asarray(np.where(bad, np.nan, value), np.float64)
