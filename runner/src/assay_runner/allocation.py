"""Memory that was freed stays with the process for the next tensor.

By default glibc gives what is free at the end of its heap back at once and asks for it anew, and the kernel clears each
page again: a seventh of the processor time where every tensor of a model is shown, looked at and dropped. Peaks stay
what they are, for the next tensor takes the place of the last.
"""

from __future__ import annotations

import ctypes
import gc
import sys
from typing import Any, Final

_M_TRIM_THRESHOLD: Final = -1
_M_MMAP_THRESHOLD: Final = -3
_M_ARENA_MAX: Final = -8
LARGE: Final = 32 << 20
"""Bytes of a block that goes back as ever, such as the arena of a session."""
SELDOM: Final = (20_000, 20, 50)
"""Objects more than before, collections of those, and of these, after which Python looks; 700, 10 and 10 by default."""
KEPT: Final = 1 << 30
"""Bytes that may be free at the end of the heap: golden's tensors of a part, the candidate's and those of a segment."""
HEAPS: Final = 2
"""Heaps of all threads, eight for each core by default: what one thread frees is another's only in the same heap. One
for all, and threads wait for one another."""


def keep_freed_memory() -> None:
    """For this process, from now on; on a system without glibc nothing changes."""
    mallopt = _libc("mallopt")
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, LARGE)
        mallopt(_M_TRIM_THRESHOLD, KEPT)
        mallopt(_M_ARENA_MAX, HEAPS)


def collect_seldom() -> None:
    """Let Python look for cycles of objects that nobody holds only once many more objects were made than by default.

    Of a graph of thousands of nodes objects are made by the hundred thousand, almost none of them in a cycle, and to
    look through all that is held again and again took a tenth of the processor time.
    """
    gc.set_threshold(*SELDOM)


def give_back() -> None:
    """Let what is free go back after all, once no more tensors are to be shown; on a system without glibc nothing."""
    trim = _libc("malloc_trim")
    if trim is not None:
        trim(0)


def _libc(name: str) -> Any:
    """A function of glibc; None where there is none."""
    return getattr(ctypes.CDLL(None), name, None) if sys.platform == "linux" else None
