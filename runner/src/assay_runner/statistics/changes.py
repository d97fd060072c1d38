"""Whether a new answer is worse than the old one on the same samples, or better, by more than chance.

Both saw the same samples, so only those count on which one is right and the other wrong: b samples that are lost and c
that are gained. Where nothing has changed, each of the n = b + c is lost or gained with even chance. The mid-p value of
losing b or more of n (McNemar's exact test; Lancaster 1961) is

    p = P(B > b) + P(B = b) / 2        with B binomial, n trials of 1/2

which keeps to 5 % of false alarms and, unlike the exact test, comes near to it: a drop of one point where 2 % of the
samples differ is found in 1,240 samples with a power of 0.82. The tests enumerate both.
"""

from __future__ import annotations

import math
from functools import lru_cache

ALPHA = 0.05
_EXACT = 2_000
"""Samples that differ up to which the sum is taken; beyond, the normal curve is as good."""


def p_worse(lost: int, gained: int) -> float:
    """Mid-p value of losing so many samples, or more, where nothing has changed; 1 where none differs."""
    n = lost + gained
    if n == 0:
        return 1.0
    if n > _EXACT:
        return math.erfc((lost - gained) / math.sqrt(2.0 * n)) / 2
    tail = sum(math.comb(n, k) for k in range(lost + 1, n + 1))
    return float((2 * tail + math.comb(n, lost)) / 2 ** (n + 1))


@lru_cache(maxsize=4096)
def most_by_chance(differing: int) -> int:
    """How many of so many samples that differ may be lost, or gained, before it is more than chance."""
    low, high = -1, differing
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if p_worse(middle, differing - middle) <= ALPHA else (middle, high)
    return high - 1 if p_worse(high, differing - high) <= ALPHA else differing
