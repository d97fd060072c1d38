"""One measured number, the goal it is held to, and how it is printed."""

from __future__ import annotations

import statistics
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tests.lab import LabError, Unavailable

__all__ = ["Figure", "median_ratio", "percentile", "report", "say"]


@dataclass(frozen=True)
class Figure:
    """A value and its bound.

    Attributes:
        name: without blanks, so that a line splits into its four fields.
        value: the measured value; NaN, what could not be measured, meets no goal.
        bound: the goal.
        at_most: whether the value must not exceed the bound; else it must not fall below it.
        unit: of value and bound, written behind the value; empty for ratios and counts.
    """

    name: str
    value: float
    bound: float
    at_most: bool = True
    unit: str = ""

    @property
    def met(self) -> bool:
        """Whether the goal is met."""
        return self.value <= self.bound if self.at_most else self.value >= self.bound

    def __str__(self) -> str:
        goal = f"{'<=' if self.at_most else '>='}{self.bound:g}{self.unit}"
        return f"{self.name} {self.value:.3f}{self.unit} {goal} {'ok' if self.met else 'MISS'}"


def report(benchmarks: Iterable[Iterable[Figure]]) -> int:
    """Print each figure as soon as it is measured; 1 where a goal is missed or anything cannot be measured, else 0."""
    met = []
    for benchmark in benchmarks:
        try:
            for figure in benchmark:
                print(figure, flush=True)
                met.append(figure.met)
        except (LabError, Unavailable) as error:
            say(f"not measured: {error}")
            met.append(False)
    return 0 if met and all(met) else 1


def median_ratio(values: Sequence[float], baselines: Sequence[float]) -> float:
    """Median of the ratios of measurements taken in pairs: a machine that slows down slows both of a pair."""
    return statistics.median(value / baseline for value, baseline in zip(values, baselines, strict=True))


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest measured value that at least `share` of the values do not exceed (nearest rank)."""
    ranked = sorted(values)
    return ranked[min(len(ranked) - 1, max(0, -(-int(share * 1000) * len(ranked) // 1000) - 1))]


def say(line: str) -> None:
    """Print a line of progress to standard error."""
    print(f"bench: {line}", file=sys.stderr, flush=True)
