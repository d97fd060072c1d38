"""How much memory measuring may take."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Budgets:
    """Bytes of host memory.

    Attributes:
        shown: what the tensors of one run may take, unless one sample takes more. Golden's and the candidate's are in
            memory at the same time, and while they are looked at golden's of the next batch: three times as much.
        segments: what one segment of a graph that is run by itself may give; a handful are in memory at a time.
    """

    shown: int = 384 << 20
    segments: int = 48 << 20

    @property
    def beside(self) -> int:
        """What they may take for the candidate's of the next batch to be made beside too: four times, and no more."""
        return self.shown * 3 // 4


DEFAULT: Final = Budgets()
