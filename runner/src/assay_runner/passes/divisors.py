"""Tensors by which something divides, or takes their logarithm: in how many samples FP16 makes zeros of their elements.

A zero does no harm until something divides by it, and one of a million elements is enough.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from assay_runner.data.rows import by_sample
from assay_runner.evidence.endings import Ending, Guard
from assay_runner.evidence.ranges import Divisor, TensorRange
from assay_runner.graphs.constants import Made
from assay_runner.graphs.endings import Downstream
from assay_runner.statistics.blocks import plain
from assay_runner.statistics.ranges import UNDERFLOW
from assay_runner.tensors import Array, Batch


@dataclass
class _Seen:
    samples: int = 0
    first: int = -1


class Divisors:
    """The divisors of a graph, and in which samples they have elements that vanish."""

    def __init__(self, downstream: Downstream, made: Mapping[str, Made]) -> None:
        """Nothing is counted yet; `made`: of constants alone."""
        self._downstream, self._made = downstream, made
        self._endings: Mapping[str, Ending] = downstream.divisors()
        self._seen: dict[str, _Seen] = {}

    def __contains__(self, name: str) -> bool:
        """Whether it is one."""
        return name in self._endings

    def add(self, name: str, array: Array, axis: int | None, batch: Batch) -> None:
        """Count the samples of a tensor that has elements that vanish.

        Args:
            name: the tensor.
            array: without rows of padding.
            axis: along which its samples are.
            batch: what was fed.
        """
        sizes = np.abs(plain(array))
        flags = by_sample((sizes > 0) & (sizes <= UNDERFLOW), axis, batch.count)
        seen = self._seen.setdefault(name, _Seen(first=batch.start + int(np.argmax(flags))))
        seen.samples += int(flags.sum())

    def result(self, ranges: Iterable[TensorRange]) -> tuple[Divisor, ...]:
        """Those with elements that vanish, in the order of what was measured."""
        ranges = tuple(ranges)
        guards = tuple(self._guards(ranges))
        found = [entry for entry in ranges if entry.underflow and entry.site.tensor in self._endings]
        vanishing = {entry.site.tensor for entry in ranges if entry.underflow and not entry.constant}
        return tuple(self._divisor(entry, guards, vanishing) for entry in found)

    def _divisor(self, entry: TensorRange, guards: Iterable[Guard], vanishing: set[str]) -> Divisor:
        seen = self._seen.get(entry.site.tensor, _Seen())
        mine = (guard for guard in guards if entry.kind == "tensor" and entry.site.node in guard.ending.through)
        samples = None if entry.kind == "weight" else seen.samples
        before = self._downstream.before(entry.site.tensor, vanishing) if entry.kind == "tensor" else ()
        return Divisor(entry, self._endings[entry.site.tensor], samples, seen.first, next(mine, None), before)

    def _guards(self, ranges: Iterable[TensorRange]) -> Iterator[Guard]:
        """What FP16 makes zero that would have kept a divisor from it."""
        for entry in ranges:
            made = self._made.get(entry.site.tensor) if entry.kind == "tensor" else None
            if not 0 < entry.elements == entry.underflow or not (made or entry.kind == "weight"):
                continue
            if guard := self._downstream.guard(entry.site.tensor, "fp16", entry.largest, made):
                yield guard
        yield from self._downstream.clips("fp16", lambda low: 0 < abs(low) <= UNDERFLOW)
