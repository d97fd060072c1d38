"""Files that appear whole or not at all.

A process may be killed at any instant. So every file is written under a temporary name beside its final one and
renamed when it is complete; the rename is atomic, and listings never show temporary names.
"""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from assay_runner.errors import InvalidInput, Unavailable

TEMPORARY = ".assay-part-"
CHUNK = 1 << 20
MOST_UNASKED = 1 << 20
"""Bytes that are written without asking for room first."""

_FULL = (errno.ENOSPC, errno.EDQUOT)
_FORBIDDEN = (
    errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENOTEMPTY, errno.ELOOP,
    errno.ENAMETOOLONG, errno.EINVAL, errno.ENXIO,
)  # fmt: skip


@contextmanager
def whole_file(path: Path, size: int | None = None) -> Iterator[BinaryIO]:
    """A file to write, which takes its place at `path` when the block ends without an error.

    Args:
        path: where it shall stand; missing folders are made.
        size: its size in bytes, where known, for the message on a full disk.

    Raises:
        Unavailable: the disk is full or fails.
        InvalidInput: the folder may not be written.
    """
    name: str | None = None
    check_room(path, size or 0)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(prefix=TEMPORARY, dir=path.parent)
        with open(descriptor, "wb") as file:
            hold(descriptor)
            os.fchmod(descriptor, 0o644)
            yield file
        os.replace(name, path)
        name = None
    except OSError as error:
        raise disk_error(error, path, size) from error
    finally:
        if name:
            with suppress(OSError):
                os.unlink(name)


def check_room(path: Path, size: int) -> None:
    """Do nothing where the disk has room for a file of so many bytes at `path`.

    Raises:
        Unavailable: it has not. Said before the first byte is written, and not behind the last that had room.
    """
    # Where nothing is known of the disk, or nothing is free, the first write tells.
    if size > MOST_UNASKED and 0 < free_bytes(path.parent) < size:
        raise disk_error(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), path, size)


def hold(descriptor: int) -> bool:
    """Lock an open file for as long as it is open, so that others see that it is worked with; whether it is ours."""
    try:
        import fcntl

        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (ImportError, OSError):  # Held by another, or a file system without locks.
        return False
    return True


def disk_error(error: OSError, path: Path, size: int | None = None) -> InvalidInput | Unavailable:
    """The sentence for a failed write to `path`, by whose move it is."""
    if error.errno in _FULL:
        needed = f" of {human(size)}" if size is not None else ""
        return Unavailable(
            f"disk full in {path.parent} ({human(free_bytes(path.parent))} free) while writing {path.name}{needed}: "
            "free space there, or, where it is scratch, give it more (spec.target.scratch; ASSAY_SCRATCH for assay run)"
        )
    reason = error.strerror or type(error).__name__
    if error.errno in _FORBIDDEN:
        return InvalidInput(f"cannot write {path}: {reason.lower()}; choose a folder that can be written")
    return Unavailable(f"cannot write {path}: {reason.lower()}")


def free_bytes(folder: Path) -> int:
    """Free bytes where the folder is, or would be."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    try:
        return shutil.disk_usage(folder).free
    except OSError:
        return 0


def human(size: int) -> str:
    """Bytes in a unit that people read."""
    amount = float(size)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if amount < 1024:
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1024
    return f"{amount:.1f} TiB"
