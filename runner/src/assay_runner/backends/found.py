"""Ranges of 8-bit tensors that are known: what is built with them reads no calibration data again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple


class Range(NamedTuple):
    """How much of a tensor an 8-bit format represents.

    Attributes:
        end: largest magnitude that is represented; what is beyond it is cut.
        peak: largest magnitude on the calibration set.
    """

    end: float
    peak: float


@dataclass(frozen=True)
class Found:
    """Ranges that were found before.

    Attributes:
        ranges: by tensor, in the order of their names.
        samples: how many samples they were found with.
    """

    ranges: tuple[tuple[str, Range], ...]
    samples: int

    @classmethod
    def of(cls, ranges: Mapping[str, Range], samples: int) -> Found:
        """The same for equal ranges, whatever the order of the mapping."""
        return cls(tuple(sorted((name, Range(*each)) for name, each in ranges.items())), samples)

    @property
    def digest(self) -> str:
        """Of the ranges, to the last bit: 16 hexadecimal digits."""
        told = [[name, each.end.hex(), each.peak.hex()] for name, each in self.ranges]
        return hashlib.sha256(json.dumps([told, self.samples]).encode()).hexdigest()[:16]
