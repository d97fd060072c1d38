"""How much memory this process can ever have: of the machine, its container or a limit of its own, the least."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

if sys.platform != "win32":
    import resource  # Here, for where memory is short it could not be loaded any more.

CGROUP: Final = Path("/sys/fs/cgroup")
STATUS: Final = Path("/proc/self/status")
"""What Linux tells of this process, the most that it ever mapped among it."""
_TAKEN: Final = {"-v": "VmPeak:", "-d": "VmData:"}
"""What it tells of the memory that each option of `ulimit` is about."""
_MOST: Final = 0.75
"""Part of a limit beyond which one more library, or one more of its buffers, may not fit."""
_LIMITS: Final = ("memory.max", "memory/memory.limit_in_bytes")
"""Of a container, as version 2 and version 1 of control groups tell it."""


def memory_limit(cgroup: Path = CGROUP) -> int:
    """Bytes that this process cannot go beyond, whatever else runs here; `sys.maxsize` where nothing is known."""
    return min((found for found in _limits(cgroup) if found > 0), default=sys.maxsize)


def address_limit() -> int:
    """Bytes that this process may map, files too, whether or not they are in memory; `sys.maxsize` without a limit."""
    return limits_set().get("-v", sys.maxsize)


def limits_set() -> dict[str, int]:
    """Bytes of memory that this process may have by limits of its own, by the option of `ulimit` that sets each."""
    if sys.platform == "win32":
        return {}
    found = {"-v": resource.getrlimit(resource.RLIMIT_AS)[0], "-d": resource.getrlimit(resource.RLIMIT_DATA)[0]}
    return {option: limit for option, limit in found.items() if 0 < limit < sys.maxsize}


def limit_reached(status: Path = STATUS) -> str:
    """The option of `ulimit` whose limit this process has come near to; empty where none is, or without `/proc`.

    A library to which an allocation fails ends in words of every kind (`SystemError: error return without exception
    set`), so it is told by where the process stands, not by what was said. Of data Linux keeps no peak.
    """
    with suppress(OSError, ValueError):
        lines = (line.split() for line in status.read_text().splitlines())
        taken = {words[0]: int(words[1]) * 1024 for words in lines if words[:1] and words[0] in _TAKEN.values()}
        return next((f"ulimit {o}" for o, most in limits_set().items() if taken.get(_TAKEN[o], 0) > most * _MOST), "")
    return ""


def _limits(cgroup: Path) -> Iterator[int]:
    with suppress(OSError, ValueError):
        yield os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    for name in _LIMITS:
        with suppress(OSError, ValueError):  # "max", or no control group.
            yield int((cgroup / name).read_text())
    yield from limits_set().values()
