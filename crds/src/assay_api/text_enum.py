"""An enumeration whose members are their text, on Python 3.10 too, which has no `enum.StrEnum`."""

from __future__ import annotations

import sys
from enum import Enum

if sys.version_info >= (3, 11):
    from enum import StrEnum  # novermin
else:

    class StrEnum(str, Enum):
        """What Python 3.11 brings: a member prints, formats and compares as its value."""

        __str__ = str.__str__
        __format__ = str.__format__


__all__ = ["StrEnum"]
