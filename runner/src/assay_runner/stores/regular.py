"""Files that others left are opened here: regular ones only, without waiting, and where asked without following links.

A name may stand for anything. A pipe that nobody writes to opens never, a device has no end, and a link leads to files
that whoever made the folder may not read, but the user of the audit may.
"""

from __future__ import annotations

import io
import os
import stat
from pathlib import Path
from typing import Final

from assay_runner.errors import InvalidInput

_KINDS: Final = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


class Irregular(InvalidInput):
    """A folder, a pipe, a socket or a device lies where a file should."""


def open_regular(path: Path, name: str, *, links: bool = True) -> io.BufferedReader:
    """A regular file, opened for reading.

    What was opened is looked at once more, for another may have taken its place in between.

    Args:
        path: where it lies.
        name: what to call it in a sentence.
        links: whether a link is followed; else it is an error.

    Raises:
        Irregular: it is a folder, a pipe, a socket or a device.
        OSError: it is not there or may not be read.
    """
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC
    if not links:
        flags |= os.O_NOFOLLOW
    refuse_irregular(os.stat(path).st_mode, name)
    descriptor = os.open(path, flags)
    try:
        refuse_irregular(os.fstat(descriptor).st_mode, name)
    except BaseException:
        os.close(descriptor)
        raise
    return os.fdopen(descriptor, "rb")


def refuse_irregular(mode: int, name: str) -> None:
    """Raise Irregular where the mode is not a regular file's."""
    if not stat.S_ISREG(mode):
        kind = next((what for holds, what in _KINDS if holds(mode)), "something else")
        raise Irregular(f"{name} is no regular file but {kind}: put a file in its place, or name another")


def obstacle(path: Path) -> Path | None:
    """What must be removed before a file can take its place at `path`: a folder there, or a file above it."""
    if os.path.isdir(path) and not os.path.islink(path):
        return path
    above = next((folder for folder in path.parents if os.path.lexists(folder)), None)
    return None if above is None or os.path.isdir(above) else above
