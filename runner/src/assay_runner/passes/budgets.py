"""How much memory measuring may take."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Budgets:
    """Bytes of host memory.

    Attributes:
        shown: what the tensors of one run may take, unless one sample takes more.
        segments: what one segment of a graph that is run by itself may give.
    """

    shown: int = 1 << 30
    segments: int = 96 << 20


DEFAULT: Final = Budgets()
