"""Sums inside operators that others were fused into, by ONNX Runtime or by who exported the model, and folded factors.

- SkipLayerNormalization, SkipSimplifiedLayerNormalization: the sum of what they add, then a LayerNormalization's or an
  RMSNormalization's over the last axis. EmbedLayerNormalization: likewise of embeddings.
- BatchNormalization: the variance and epsilon, by whose root it divides; and the factor and the shift that are left of
  it where a kernel folds its four weights into two, or an engine folds them into the product before it.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce
from types import MappingProxyType
from typing import Final

import numpy as np

from assay_runner.passes.attention_sums import attention, multi_head_attention, projecting_attention
from assay_runner.passes.inner_sums import INNER
from assay_runner.passes.totals import EPSILON, Operator, Ran, Total, Totals, mean_of_squares, moments
from assay_runner.statistics.blocks import plain
from assay_runner.tensors import Array, Floats

ADDED: Final = "the sum of input, skip and bias"
EMBEDDED: Final = "the sum of embeddings"
BOUNDED: Final = frozenset({"Softmax", "LogSoftmax", "ReduceLogSumExp"})
"""Operators whose sums are at most the number of their elements."""
OWN_EPSILON: Final = 1e-12
"""Where an operator of ONNX Runtime's own has none."""


def _skip(ran: Ran) -> Totals:
    skip = ran.input(1)
    return () if skip is None else _added(ran, ADDED, ran.given, skip, ran.input(4))


def _skip_simplified(ran: Ran) -> Totals:
    skip = ran.input(1)
    return () if skip is None else _added(ran, ADDED, ran.given, skip, ran.input(3), simplified=True)


def _added(ran: Ran, what: str, *given: Array | None, simplified: bool = False) -> Totals:
    """Of a sum that is normalised over its last axis."""
    whole = reduce(np.add, [plain(array) for array in given if array is not None])
    epsilon = float(ran.attributes.get("epsilon", OWN_EPSILON))
    over = frozenset({whole.ndim - 1})
    inner = mean_of_squares(whole, over, epsilon) if simplified else moments(whole, over, epsilon, centred=True)
    return (Total(what, np.abs(whole)), *inner)


def _embedded(ran: Ran) -> Totals:
    """Of words, positions and, where there are any, segments; positions are counted where they are not given."""
    ids, words, positions = ran.given, ran.input(2), ran.input(3)
    if words is None or positions is None:
        return ()
    places = ran.input(8)
    places = np.arange(ids.shape[1])[None] if places is None else places
    parts = [plain(words)[ids], plain(positions)[places]]
    segments, table = ran.input(1), ran.input(4)
    if segments is not None and table is not None:
        parts.append(plain(table)[segments])
    return _added(ran, EMBEDDED, *parts)


def _batch(ran: Ran) -> Totals:
    """Of channels, which all samples share."""
    epsilon = float(ran.attributes.get("epsilon", EPSILON))
    if ran.attributes.get("training_mode", 0):
        return moments(ran.given, frozenset({0, *range(2, ran.given.ndim)}), epsilon, centred=True)
    factor, shift, mean, variance = (ran.input(place) for place in range(1, 5))
    if factor is None or shift is None or mean is None or variance is None or not variance.size:
        return ()
    wide = [plain(array).astype(np.float64) for array in (factor, shift, mean, variance)]
    safe = wide[3] + epsilon
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        folded = wide[0] / np.sqrt(safe)
        moved = wide[1] - wide[2] * folded
    return (
        Total("the sum of variance and epsilon", np.asarray(safe.max())),
        Total("the variance and epsilon", np.asarray(safe.min()), harm="zero divisor"),
        Total("the folded factor, scale / sqrt(variance + epsilon),", _largest(folded)),
        Total("the folded shift, B - mean · scale / sqrt(variance + epsilon),", _largest(moved)),
        # Of a channel that was pruned nothing is left to lose; of all of them there is.
        Total("the folded factor, scale / sqrt(variance + epsilon),", _largest(folded), harm="zero factor"),
    )


def _largest(values: Floats) -> Floats:
    return np.asarray(np.abs(values).max())


OWN: Mapping[str, Operator] = MappingProxyType(
    {
        "SkipLayerNormalization": Operator(_skip, reads=5),
        "SkipSimplifiedLayerNormalization": Operator(_skip_simplified, reads=4),
        "EmbedLayerNormalization": Operator(_embedded, reads=9),
        "Attention": Operator(projecting_attention, reads=6),
        "MultiHeadAttention": Operator(multi_head_attention, reads=8),
    }
)
"""Operators of ONNX Runtime's own, com.microsoft."""
DEFAULT: Mapping[str, Operator] = MappingProxyType(
    {**INNER, "Attention": Operator(attention, reads=7), "BatchNormalization": Operator(_batch, reads=5)}
)
"""Operators of the default domain."""
SUMMING: Mapping[str, Mapping[str, Operator]] = MappingProxyType(
    {
        "": DEFAULT,
        "ai.onnx": DEFAULT,
        "com.microsoft": OWN,
    }
)
"""Every operator that sums, by domain and name."""
UNBOUNDED: Final = frozenset(name for table in SUMMING.values() for name in table) - BOUNDED
"""Names of those whose sums may exceed FP16 whatever the number of their elements."""
