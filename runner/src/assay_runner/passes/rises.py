"""Where local errors are measured: in the first samples, and wherever a tensor then fares worse than it did in them.

A node's own error is part of the error that its output has come to. So a node that begins to fail in a later sample
raises that one, and is run on golden's tensors there too; one that does not needs no more samples to be known.
"""

from __future__ import annotations

import math
from typing import Final

from assay_runner.statistics.blocks import Sums

__all__ = ["FIRST", "RISE", "Rises", "added", "powers"]

FIRST: Final = 8
"""Samples whose local errors are measured whatever they are, and after which it is remembered how near a tensor was."""
RISE: Final = 4.0
"""Times the power of the error relative to golden's, 6 dB: tensors of a few elements differ by less from sample to
sample as it is."""


class Rises:
    """Keeps the worst batch of each tensor, and the tensors that were worse in the last one."""

    def __init__(self) -> None:
        self._worst: dict[str, float] = {}
        self.names: set[str] = set()

    def take(self, name: str, error: float, whole: float) -> None:
        """Take a batch in.

        Args:
            name: of the tensor.
            error: power of its error in this batch, infinite where it is none; or how many elements are wrong.
            whole: power of golden's tensor; or how many elements it has.
        """
        ratio = math.inf if math.isnan(error) else error / whole if whole else math.inf if error else 0.0
        worst = self._worst.get(name)
        if worst is None or ratio > RISE * worst:
            self.names.add(name)
        self._worst[name] = ratio if worst is None else max(ratio, worst)


def powers(sums: Sums) -> tuple[float, float, int]:
    """Of the error that was summed up so far, of golden's tensor, and the power of two by which both are scaled."""
    return sums.noise, sums.signal, sums.power


def added(before: tuple[float, float, int], sums: Sums) -> tuple[float, float]:
    """What of `powers` came since: that of the error, infinite where there is none, and of golden's tensor."""
    noise, signal, power = before
    by = 2 * (sums.power - power)
    return math.inf if sums.bad else sums.noise - math.ldexp(noise, by), sums.signal - math.ldexp(signal, by)
