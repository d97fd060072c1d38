"""Kubernetes' quantities, as far as amounts of a resource are compared."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Final

_SUFFIXES: Final = {
    "n": Decimal("1e-9"), "u": Decimal("1e-6"), "m": Decimal("1e-3"), "": Decimal(1), "k": Decimal(10**3),
    "M": Decimal(10**6), "G": Decimal(10**9), "T": Decimal(10**12), "P": Decimal(10**15), "E": Decimal(10**18),
    **{f"{prefix}i": Decimal(1024**power) for power, prefix in enumerate("KMGTPE", 1)},
}  # fmt: skip
_FORM: Final = re.compile(r"\+?([0-9]+\.?[0-9]*|\.[0-9]+)(?:([numkMGTPE]|[KMGTPE]i)|([eE][+-]?[0-9]{1,3}))?")


def amount(quantity: object) -> Decimal | None:
    """What a quantity amounts to; None where it is none."""
    form = _FORM.fullmatch(str(quantity))
    if form is None:
        return None
    digits, suffix, exponent = form.groups()
    return Decimal(digits + (exponent or "")) * _SUFFIXES[suffix or ""]
