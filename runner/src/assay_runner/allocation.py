"""Memory that was freed stays with the process for the next tensor.

By default glibc gives what is free at the end of its heap back at once and asks for it anew, and the kernel clears each
page again: a seventh of the processor time where every tensor of a model is shown, looked at and dropped. Peaks stay
what they are, for the next tensor takes the place of the last.
"""

from __future__ import annotations

import ctypes
import sys
from typing import Final

_M_TRIM_THRESHOLD: Final = -1
_M_MMAP_THRESHOLD: Final = -3
LARGE: Final = 32 << 20
"""Bytes of a block that goes back as ever, such as the arena of a session."""
KEPT: Final = 256 << 20
"""Bytes that may be free at the end of the heap."""


def keep_freed_memory() -> None:
    """For this process, from now on; on a system without glibc nothing changes."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, LARGE)
        mallopt(_M_TRIM_THRESHOLD, KEPT)
