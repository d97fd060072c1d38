"""How much memory this process can ever have: of the machine, its container or a limit of its own, the least."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

CGROUP: Final = Path("/sys/fs/cgroup")
STATUS: Final = Path("/proc/self/status")
"""What Linux tells of this process, the most that it ever mapped among it."""
_MOST: Final = 0.75
"""Part of a limit beyond which one more library, or one more of its buffers, may not fit."""
_LIMITS: Final = ("memory.max", "memory/memory.limit_in_bytes")
"""Of a container, as version 2 and version 1 of control groups tell it."""


def memory_limit(cgroup: Path = CGROUP) -> int:
    """Bytes that this process cannot go beyond, whatever else runs here; `sys.maxsize` where nothing is known."""
    return min((found for found in _limits(cgroup) if found > 0), default=sys.maxsize)


def address_limit() -> int:
    """Bytes that this process may map, files too, whether or not they are in memory; `sys.maxsize` without a limit."""
    try:
        import resource
    except ImportError:
        return sys.maxsize
    found = resource.getrlimit(resource.RLIMIT_AS)[0]
    return found if found > 0 else sys.maxsize


def nearly_all_mapped(status: Path = STATUS) -> bool:
    """Whether this process once mapped most of what a limit of its own (`ulimit -v`) lets it.

    A library to which an allocation fails ends in words of every kind (`SystemError: error return without exception
    set`), so it is told by where the process stood, not by what was said. No limit, or a system without `/proc`: False.
    """
    limit = address_limit()
    if limit == sys.maxsize:
        return False
    with suppress(OSError, ValueError):
        peak = next((line.split()[1] for line in status.read_text().splitlines() if line.startswith("VmPeak:")), "0")
        return int(peak) * 1024 > limit * _MOST
    return False


def _limits(cgroup: Path) -> Iterator[int]:
    with suppress(OSError, ValueError):
        yield os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    for name in _LIMITS:
        with suppress(OSError, ValueError):  # "max", or no control group.
            yield int((cgroup / name).read_text())
    with suppress(ImportError, OSError):
        import resource

        for kind in (resource.RLIMIT_AS, resource.RLIMIT_DATA):
            yield resource.getrlimit(kind)[0]
