"""Files that others left are opened here: regular ones only, without waiting, and where asked only inside a folder.

A name may stand for anything. A pipe that nobody writes to opens never, a device has no end, and a link leads to files
that whoever made the folder may not read, but the user of the audit may.
"""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Iterable
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


def open_regular(path: Path, name: str, within: Iterable[Path] | None = None) -> io.BufferedReader:
    """A regular file, opened for reading.

    What was opened is looked at once more, for another may have taken its place in between.

    Args:
        path: where it lies; links are followed.
        name: what to call it in a sentence.
        within: folders of which one must hold the file that links lead to; None lets them lead anywhere.

    Raises:
        InvalidInput: it is a folder, a pipe, a socket or a device, or in none of the folders.
        OSError: it is not there or may not be read.
    """
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC
    if within is not None:
        path, flags = _real_path(path, within, name), flags | os.O_NOFOLLOW
    refuse_irregular(os.stat(path).st_mode, name)
    descriptor = os.open(path, flags)
    try:
        refuse_irregular(os.fstat(descriptor).st_mode, name)
    except BaseException:
        os.close(descriptor)
        raise
    return os.fdopen(descriptor, "rb")


def refuse_irregular(mode: int, name: str) -> None:
    """Raise InvalidInput where the mode is not a regular file's."""
    if not stat.S_ISREG(mode):
        kind = next((what for holds, what in _KINDS if holds(mode)), "something else")
        raise InvalidInput(f"{name} is no regular file but {kind}: put a file in its place, or name another")


def _real_path(path: Path, folders: Iterable[Path], name: str) -> Path:
    real = Path(os.path.realpath(path))
    if not any(real.is_relative_to(os.path.realpath(folder)) for folder in folders):
        raise InvalidInput(
            f"{name} is a link that leads out of the model's folder, to {real}: put the file itself into the folder"
        )
    return real
