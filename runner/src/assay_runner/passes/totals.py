"""What a node was given and made, and what the sums inside it come to: the words and figures of every operator."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from assay_runner.statistics.axis_sums import axis_sums, squared_deviations
from assay_runner.tensors import Array

FP32: Final = 1
EPSILON: Final = 1e-5
"""Where a normalisation has none of its own."""
MEAN: Final = "the sum behind the mean"
SQUARES: Final = "the sum of squares"
EXPONENTIALS: Final = "the sum of exponentials"


@dataclass(frozen=True)
class Ran:
    """A node that was run.

    Attributes:
        inputs: what it was given, weights among them; None where an input is left out or not known.
        made: its first output.
        attributes: by name; `axes` among them where they are an input that is a weight.
        opset: version of the default operator set.
    """

    inputs: tuple[Array | None, ...]
    made: Array
    attributes: Mapping[str, Any]
    opset: int

    @property
    def given(self) -> Array:
        """Its first input, which is known."""
        assert self.inputs[0] is not None
        return self.inputs[0]

    def input(self, place: int) -> Array | None:
        """The input at this place, from 0; None where there is none, or none that is known."""
        return self.inputs[place] if place < len(self.inputs) else None


@dataclass(frozen=True)
class Total:
    """What sums of one kind come to inside a node.

    Attributes:
        what: in words.
        values: their totals, or magnitudes of them.
        along: which tensor's axes they have, those that were summed over with length 1 or left out at the end.
        harm: what harms: that FP16 makes infinity of one, or, of what is divided or multiplied by, zero.
    """

    what: str
    values: Array
    along: Literal["given", "made"] = "given"
    harm: Literal["infinity", "zero divisor", "zero factor"] = "infinity"


Totals = tuple[Total, ...]


@dataclass(frozen=True)
class Operator:
    """An operator that sums.

    Attributes:
        totals: what its sums come to.
        stashes: the first operator set in which it sums in FP32, unless its `stash_type` says otherwise; 0: none.
        reads: how many of its inputs, from the first on, are looked at.
    """

    totals: Callable[[Ran], Totals]
    stashes: int = 0
    reads: int = 1

    def wide(self, attributes: Mapping[str, Any], opset: int) -> bool:
        """Whether it sums in FP32 by its definition, whatever its type."""
        return 0 < self.stashes <= opset and attributes.get("stash_type", FP32) == FP32


def moments(given: Array, axes: frozenset[int], epsilon: float, *, centred: bool) -> Totals:
    """The sums of a normalisation by mean and variance over `axes`.

    Args:
        given: what is normalised.
        axes: counted from 0.
        epsilon: what is added to the variance.
        centred: whether it sums squares of deviations from the mean, not of what it was given.
    """
    sums, squares = axis_sums(given, axes)
    count = math.prod(given.shape[axis] for axis in axes)
    deviations = squared_deviations(sums, squares, count)
    divisor = Total("the variance and epsilon", deviations / count + epsilon, harm="zero divisor")
    inner = Total("the sum of squared deviations", deviations) if centred else Total(SQUARES, squares)
    return Total(MEAN, abs(sums)), inner, divisor


def mean_of_squares(given: Array, axes: frozenset[int], epsilon: float) -> Totals:
    """The sums of a normalisation by the root of the mean of squares over `axes`."""
    squares = axis_sums(given, axes)[1]
    mean = squares / math.prod(given.shape[axis] for axis in axes)
    return Total(SQUARES, squares), Total("the mean of squares and epsilon", mean + epsilon, harm="zero divisor")
