"""The sums that attention takes where it is one operator: queries times keys, scaled, and the softmax's exponentials.

Operator sets 23 and up define `Attention`, which is fed queries, keys and values; ONNX Runtime's own `Attention` makes
them of one input by a product, its `MultiHeadAttention` adds a bias to them. The scale belongs to the product, so what
counts is the scaled one, before a mask is added or a soft cap taken: as the operator set has it, and as ONNX Runtime's
kernels compute it. The sum of values by probabilities is a mean of them, and so no larger than they are.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np

from assay_runner.passes.totals import EXPONENTIALS, Ran, Total, Totals
from assay_runner.statistics.blocks import BLOCK, plain
from assay_runner.statistics.ranges import OVERFLOW
from assay_runner.tensors import Array

SCORES: Final = "the scaled product of queries and keys"
PROJECTED: Final = "the product with its weights that makes queries, keys and values"
BIASED: Final = "the sum of queries, keys or values and their bias"


@dataclass(frozen=True)
class _Heads:
    """What attention is taken of.

    Attributes:
        queries: (batch, heads, S, size).
        keys: (batch, heads of keys, T, size), those of the past first; as many heads, or a divisor of it.
        scale: of their product.
        bias: what is added to a score, to be broadcast to (batch, heads, S, T); None: nothing.
        causal: whether a query sees no later key.
        capped: by what scores are softly capped; 0: not.
        hidden: whether keys are left out besides, so that nobody knows how many exponentials are summed.
    """

    queries: Array
    keys: Array
    scale: float
    bias: Array | None = None
    causal: bool = False
    capped: float = 0.0
    hidden: bool = False


def attention(ran: Ran) -> Totals:
    """`Attention` as operator sets 23 and up define it: three or four axes, keys may have fewer heads than queries."""
    queries, keys = _wide(ran.given), _wide(ran.input(1))
    if keys is None or queries is None:
        return ()
    attributes = ran.attributes
    if queries.ndim == 3:
        queries, keys = _split(queries, attributes["q_num_heads"]), _split(keys, attributes["kv_num_heads"])
    if (past := _wide(ran.input(4))) is not None:
        keys = np.concatenate([past, keys], axis=2)
    return _totals(
        _Heads(
            queries,
            keys,
            float(attributes.get("scale", 1 / math.sqrt(queries.shape[3]))),
            ran.input(3),
            bool(attributes.get("is_causal", 0)),
            float(attributes.get("softcap", 0.0)),
            ran.input(6) is not None,
        )
    )


def projecting_attention(ran: Ran) -> Totals:
    """ONNX Runtime's `Attention`: one input, times weights for queries, keys and values side by side."""
    given, weights, bias = _wide(ran.given), _wide(ran.input(1)), _wide(ran.input(2))
    if given is None or weights is None:
        return ()
    third = weights.shape[1] // 3
    sizes = ran.attributes.get("qkv_hidden_sizes") or [third, third, third]
    with np.errstate(over="ignore", invalid="ignore"):
        made = given @ weights
        made = made if bias is None else made + bias
    totals: Totals = (Total(PROJECTED, _by_sample(made)),)
    if ran.attributes.get("do_rotary", 0):
        return totals
    heads = ran.attributes["num_heads"]
    queries, keys = (_split(part, heads) for part in np.split(made, np.cumsum(sizes)[:2], axis=-1)[:2])
    if (past := _wide(ran.input(4))) is not None:
        keys = np.concatenate([past[0], keys], axis=2)
    return totals + _totals(_own(ran, queries, keys, ran.input(5), ran.input(3)))


def multi_head_attention(ran: Ran) -> Totals:
    """ONNX Runtime's `MultiHeadAttention`: queries, keys and values apart; what has four axes has its heads second."""
    heads = ran.attributes["num_heads"]
    given = [array for array in (_wide(ran.input(place)) for place in range(3)) if array is not None]
    if len(given) < 3 or given[0].ndim > 4:
        return ()  # Packed as one, for which there is no kernel on a CPU.
    laid = [array if array.ndim == 4 else _split(array, heads) for array in given]
    totals: Totals = ()
    if (bias := _wide(ran.input(3))) is not None:
        shares = np.split(bias.reshape(-1), np.cumsum([part.shape[1] * part.shape[3] for part in laid])[:2])
        pairs = zip(laid, shares, strict=True)
        laid = [part + share.reshape(part.shape[1], 1, part.shape[3]) for part, share in pairs]
        totals = (Total(BIASED, np.maximum.reduce([_by_sample(part) for part in laid])),)
    queries, keys, _ = laid
    if (past := _wide(ran.input(6))) is not None:
        keys = np.concatenate([past, keys], axis=2)
    return totals + _totals(_own(ran, queries, keys, ran.input(5), ran.input(4)))


def _own(ran: Ran, queries: Array, keys: Array, bias: Array | None, mask: Array | None) -> _Heads:
    """By what ONNX Runtime's own operators have in common."""
    scale = float(ran.attributes.get("scale", 0.0)) or 1 / math.sqrt(queries.shape[3])
    causal = bool(ran.attributes.get("unidirectional", 0))
    return _Heads(queries, keys, scale, bias, causal, hidden=mask is not None)


def _split(array: Array, heads: int) -> Array:
    """(batch, heads, S, size) of (batch, S, heads · size)."""
    batch, length, width = array.shape
    return array.reshape(batch, length, heads, width // heads).transpose(0, 2, 1, 3)


def _totals(heads: _Heads) -> Totals:
    over = _reaches(heads)
    many = heads.keys.shape[2] >= OVERFLOW and not heads.hidden
    if not over and not many:
        return ()
    batch = len(heads.queries)
    largest, summed = np.zeros(batch), np.zeros(batch)
    with np.errstate(over="ignore", invalid="ignore"):
        for sample, scores, bias in _scores(heads):
            largest[sample] = max(largest[sample], float(np.abs(scores).max()))
            if many:
                summed[sample] = max(summed[sample], _exponentials(scores, bias, heads.capped))
    return (Total(SCORES, largest), Total(EXPONENTIALS, summed))


def _reaches(heads: _Heads) -> bool:
    """Whether a product may be beyond FP16: by the lengths of the longest query and key, which is soon told."""
    with np.errstate(over="ignore", invalid="ignore"):
        longest = [np.sqrt(np.einsum("bhsd,bhsd->bhs", a, a)).max(initial=0) for a in (heads.queries, heads.keys)]
        return bool(abs(heads.scale) * float(longest[0]) * float(longest[1]) >= 0.999 * OVERFLOW)


def _scores(heads: _Heads) -> Iterator[tuple[int, Array, Array | None]]:
    """Sample, its scaled scores in some rows of a head, and what is added to them before the exponentials."""
    batch, number, length, _ = heads.queries.shape
    total = heads.keys.shape[2]
    height = max(1, BLOCK // max(1, total))
    for sample in range(batch):
        for head in range(number):
            keys = heads.keys[sample, head * heads.keys.shape[1] // number].T
            for start in range(0, length, height):
                rows = slice(start, min(length, start + height))
                scores = heads.scale * (heads.queries[sample, head, rows] @ keys)
                yield sample, scores, _added(heads, (sample, head), rows, total)


def _added(heads: _Heads, where: tuple[int, int], rows: slice, total: int) -> Array | None:
    """What is added to the scores of these rows: a mask of truth values is -Inf where it is false."""
    added = None
    if heads.bias is not None:
        bias = plain(heads.bias)
        bias = bias.reshape((1,) * (4 - bias.ndim) + bias.shape)
        bias = bias[min(where[0], bias.shape[0] - 1), min(where[1], bias.shape[1] - 1)]
        bias = bias[rows] if bias.shape[0] > 1 else bias
        added = np.where(bias, 0.0, -np.inf) if bias.dtype == np.bool_ else bias
    if heads.causal:
        later = np.arange(total)[None] > np.arange(rows.start, rows.stop)[:, None] + total - heads.queries.shape[2]
        causal = np.where(later, -np.inf, 0.0)
        added = causal if added is None else added + causal
    return added


def _exponentials(scores: Array, added: Array | None, capped: float) -> float:
    wide = scores.astype(np.float64)
    wide = capped * np.tanh(wide / capped) if capped else wide
    wide = wide if added is None else wide + added
    sums = np.exp(wide - wide.max(axis=1, keepdims=True)).sum(axis=1)
    return float(np.nanmax(sums, initial=0.0))


def _by_sample(array: Array) -> Array:
    """The largest magnitude of each sample, the first axis."""
    return np.asarray(np.abs(array).reshape(len(array), -1).max(axis=1, initial=0.0))


def _wide(array: Array | None) -> Array | None:
    """Numbers in a type that is added up without loss of what matters here: float32, or wider as it is."""
    if array is None:
        return None
    array = plain(array)
    return array if array.dtype.kind == "f" and array.dtype.itemsize >= 4 else array.astype(np.float32)
