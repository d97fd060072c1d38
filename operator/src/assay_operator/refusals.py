"""What the API server answers to a Job or a status that it will not have.

Some answers hold until the audit changes: a node selector that is no label is none tomorrow either. Others hold as
long as someone else lets them: a quota that is used up, a right that is missing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

INVALID: Final = frozenset({400, 422})
REFUSALS: Final = INVALID | {403}
# A status that is refused with one of these is refused as often as it is sent.
UNWRITABLE: Final = INVALID | {413}


@dataclass(frozen=True, slots=True)
class Refusal:
    """One Job refused.

    Attributes:
        status: HTTP status of the answer, one of `REFUSALS`.
        message: the API server's words.
        since: when it was refused first.
    """

    status: int
    message: str
    since: datetime

    @property
    def for_good(self) -> bool:
        """Whether asking again cannot help."""
        return self.status in INVALID

    def after(self, earlier: Refusal | None) -> Refusal:
        """This refusal, where it is not the first of its Job."""
        return replace(self, since=earlier.since) if earlier else self
