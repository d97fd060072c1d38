"""Memory that was freed stays with the process for the next tensor.

By default glibc gives what is free at the end of its heap back at once and asks for it anew, and the kernel clears each
page again: a seventh of the processor time where every tensor of a model is shown, looked at and dropped. Peaks stay
what they are, for the next tensor takes the place of the last.
"""

from __future__ import annotations

import ctypes
import sys
from typing import Any, Final

_M_TRIM_THRESHOLD: Final = -1
_M_MMAP_THRESHOLD: Final = -3
LARGE: Final = 32 << 20
"""Bytes of a block that goes back as ever, such as the arena of a session."""
KEPT: Final = 1 << 30
"""Bytes that may be free at the end of the heap: golden's tensors of a part, the candidate's and those of a segment."""


def keep_freed_memory() -> None:
    """For this process, from now on; on a system without glibc nothing changes."""
    mallopt = _libc("mallopt")
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, LARGE)
        mallopt(_M_TRIM_THRESHOLD, KEPT)


def give_back() -> None:
    """Let what is free go back after all, once no more tensors are to be shown; on a system without glibc nothing."""
    trim = _libc("malloc_trim")
    if trim is not None:
        trim(0)


def _libc(name: str) -> Any:
    """A function of glibc; None where there is none."""
    return getattr(ctypes.CDLL(None), name, None) if sys.platform == "linux" else None
