"""Which sums operators take that no tensor shows, and what each comes to: from what a node was given and what it made.

As each operator set defines them. Products (MatMul, Gemm, Conv), plain sums and sums of squares show their total as
their result, so nothing is left to measure there. Where a total can be told from the result it is, for that is smaller
than what was given.

- ReduceMean, AveragePool, GlobalAveragePool, Mean: the sum before the division is the result times the number of
  elements, or of inputs.
- ReduceL2, LpPool, GlobalLpPool: the sum of |x|^p before the root is the result to the power p.
- ReduceLogSum: the sum before the logarithm. ReduceLogSumExp, Softmax, LogSoftmax: the sum of exp(x - max x), which is
  what kernels take; it is at most the number of elements.
- LpNormalization: the sum of |x|^p. LRN: the sum of squares over the neighbouring channels.
- InstanceNormalization, LayerNormalization: the sum of x and that of squared deviations from the mean.
  GroupNormalization, MeanVarianceNormalization, and LayerNormalization where it stashes in a narrower type, are defined
  by the mean of squares: the sum of x and that of x². RMSNormalization: the sum of x².
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

import numpy as np

from assay_runner.passes.totals import (
    EPSILON,
    EXPONENTIALS,
    FP32,
    MEAN,
    SQUARES,
    Operator,
    Ran,
    Total,
    Totals,
    mean_of_squares,
    moments,
)
from assay_runner.passes.windows import windows
from assay_runner.statistics.axis_sums import axis_sums, squared_deviations
from assay_runner.statistics.ranges import OVERFLOW
from assay_runner.tensors import Array

MOST_INPUTS: Final = 1 << 31
"""As many as a node may have."""
DIVIDED: Final = "the sum before the division"


def _mean(ran: Ran) -> Totals:
    count = ran.given.size / max(1, ran.made.size)
    return (Total(DIVIDED, np.abs(ran.made, dtype=np.float64) * count, "made"),)


def _averaged(ran: Ran) -> Totals:
    return (Total(DIVIDED, np.abs(ran.made, dtype=np.float64) * len(ran.inputs), "made"),)


def _pooled(ran: Ran) -> Totals:
    """An average leaves padding out, unless it is told to count it."""
    counted = windows(ran.given.shape[2:], ran.made.shape[2:], ran.attributes)
    return (Total(DIVIDED, np.abs(ran.made, dtype=np.float64) * counted, "made"),)


def _rooted(ran: Ran) -> Totals:
    return (Total("the sum of squares before the root", np.square(ran.made, dtype=np.float64), "made"),)


def _lp_pooled(ran: Ran) -> Totals:
    p = ran.attributes.get("p", 2)
    with np.errstate(over="ignore"):
        values = np.abs(ran.made).astype(np.float64) ** p
    return (Total(f"{_powers(p)} before the root", values, "made"),)


def _log_sum(ran: Ran) -> Totals:
    with np.errstate(over="ignore"):
        return (Total("the sum before the logarithm", np.exp(ran.made.astype(np.float64)), "made"),)


def _log_sum_exp(ran: Ran) -> Totals:
    axes = ran.attributes.get("axes")
    if axes is None and not ran.attributes.get("noop_with_empty_axes", 0):
        axes = range(ran.given.ndim)
    return _exponentials(ran.given, _axes(axes or (), ran.given.ndim))


def _softmax(ran: Ran) -> Totals:
    """Before operator set 13 all axes from the first named one on are taken as one, by default from the second on."""
    rank = ran.given.ndim
    if ran.opset >= 13:
        return _exponentials(ran.given, _axes([ran.attributes.get("axis", -1)], rank))
    axis = ran.attributes.get("axis", 1)
    return _exponentials(ran.given, frozenset(range(axis + rank if axis < 0 else axis, rank)))


def _exponentials(given: Array, axes: frozenset[int]) -> Totals:
    """Each is at most 1: fewer than FP16 can hold need no look."""
    if math.prod(given.shape[axis] for axis in axes) < OVERFLOW:
        return ()
    over = tuple(axes)
    with np.errstate(invalid="ignore"):
        sizes = np.exp(given.astype(np.float64) - given.max(axis=over, keepdims=True))
    return (Total(EXPONENTIALS, sizes.sum(axis=over, keepdims=True)),)


def _lp_normalised(ran: Ran) -> Totals:
    p = ran.attributes.get("p", 2)
    axes = _axes([ran.attributes.get("axis", -1)], ran.given.ndim)
    values = axis_sums(ran.given, axes)[1] if p == 2 else axis_sums(np.abs(ran.given), axes)[0]
    return (Total(_powers(p), values),)


def _instances(ran: Ran) -> Totals:
    return moments(ran.given, frozenset(range(2, ran.given.ndim)), _epsilon(ran), centred=True)


def _layers(ran: Ran) -> Totals:
    centred = ran.attributes.get("stash_type", FP32) == FP32
    return moments(ran.given, _from(ran), _epsilon(ran), centred=centred)


def _groups(ran: Ran) -> Totals:
    grouped = ran.given.reshape(len(ran.given), ran.attributes["num_groups"], -1)
    return moments(grouped, frozenset({2}), _epsilon(ran), centred=False)


def _planes(ran: Ran) -> Totals:
    """Its epsilon, 1e-9, is added to the root of the variance."""
    axes = _axes(ran.attributes.get("axes", (0, 2, 3)), ran.given.ndim)
    sums, squares = axis_sums(ran.given, axes)
    count = math.prod(ran.given.shape[axis] for axis in axes)
    root = np.sqrt(squared_deviations(sums, squares, count) / count) + 1e-9
    divisor = Total("the standard deviation and 1e-9", root, harm="zero divisor")
    return Total(MEAN, np.abs(sums)), Total(SQUARES, squares), divisor


def _root_mean_squares(ran: Ran) -> Totals:
    return mean_of_squares(ran.given, _from(ran), _epsilon(ran))


def _epsilon(ran: Ran) -> float:
    return float(ran.attributes.get("epsilon", EPSILON))


def _channels(ran: Ran) -> Totals:
    """Channels c - ⌊(size - 1) / 2⌋ to c + ⌈(size - 1) / 2⌉."""
    size, channels = ran.attributes["size"], ran.given.shape[1]
    sums = np.cumsum(np.square(ran.given, dtype=np.float64), axis=1)
    sums = np.concatenate([np.zeros_like(sums[:, :1]), sums], axis=1)
    each = np.arange(channels)
    first = np.maximum(each - (size - 1) // 2, 0)
    last = np.minimum(each + size // 2 + 1, channels)
    return (Total(f"{SQUARES} over channels", sums[:, last] - sums[:, first]),)


def _from(ran: Ran) -> frozenset[int]:
    """All axes from the one that is named on."""
    rank = ran.given.ndim
    return frozenset(range(ran.attributes.get("axis", -1) % rank, rank))


def _axes(given: Any, rank: int) -> frozenset[int]:
    return frozenset(int(axis) % rank for axis in given)


def _powers(p: float) -> str:
    if p == 2:
        return SQUARES
    return "the sum of magnitudes" if p == 1 else f"the sum of magnitudes to the power {p:g}"


INNER: Mapping[str, Operator] = MappingProxyType(
    {
        "ReduceMean": Operator(_mean),
        "GlobalAveragePool": Operator(_mean),
        "AveragePool": Operator(_pooled),
        "Mean": Operator(_averaged, reads=MOST_INPUTS),
        "ReduceL2": Operator(_rooted),
        "LpPool": Operator(_lp_pooled),
        "GlobalLpPool": Operator(_lp_pooled),
        "ReduceLogSum": Operator(_log_sum),
        "ReduceLogSumExp": Operator(_log_sum_exp),
        "Softmax": Operator(_softmax),
        "LogSoftmax": Operator(_softmax),
        "LpNormalization": Operator(_lp_normalised),
        "LRN": Operator(_channels),
        "InstanceNormalization": Operator(_instances),
        "MeanVarianceNormalization": Operator(_planes),
        "GroupNormalization": Operator(_groups, stashes=21),
        "LayerNormalization": Operator(_layers, stashes=1),
        "RMSNormalization": Operator(_root_mean_squares, stashes=1),
        "SimplifiedLayerNormalization": Operator(_root_mean_squares, stashes=1),
    }
)
