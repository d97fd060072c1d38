"""How much memory measuring may take."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Budgets:
    """Bytes of host memory.

    Attributes:
        shown: what the tensors of one run may take, unless one sample takes more; golden's and the candidate's are in
            memory at the same time, so a comparison takes twice as much.
        segments: what one segment of a graph that is run by itself may give.
    """

    shown: int = 384 << 20
    segments: int = 48 << 20


DEFAULT: Final = Budgets()
