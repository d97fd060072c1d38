"""What samples or builds without a failure say of others."""

from __future__ import annotations

CERTAIN = 0.95


def most_failing(seen: int) -> float:
    """The largest share of failures with which so many, 1 at least, without one are no surprise, 95 % certain.

    Of a share p that fail none is seen by (1 - p)^n: the one-sided bound of Clopper and Pearson (1934) for no failure.
    """
    return float(1 - (1 - CERTAIN) ** (1 / seen))
