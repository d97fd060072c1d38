"""What a process leaves behind when it is killed, told from what a living one works with: by a lock on it.

The kernel takes a lock away with the last process that holds it, however that ends. Where a file system has no locks
nothing is claimed and nothing is removed.
"""

from __future__ import annotations

import os
import re
import shutil
import stat
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from assay_runner.stores.files import TEMPORARY, hold

MARK: Final = ".assay-scratch"
"""Lies in every scratch folder: others have folders named like it."""
PREFIX: Final = "assay-"
OLD_SECONDS: Final = 3600.0
"""What nobody has claimed for so long nobody will."""
_OURS: Final = re.compile(rf"{PREFIX}[a-z0-9_]{{8}}")


def claim(path: Path) -> int | None:
    """Lock a file or folder for as long as this process, or a fork of it, lives; the descriptor that holds the lock.

    None: another process holds it, it is gone, or it cannot be locked.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return None
    with suppress(OSError):
        # Who held it may have removed it meanwhile, and another have made one of its name.
        if hold(descriptor) and os.path.samestat(os.fstat(descriptor), os.stat(path, follow_symlinks=False)):
            return descriptor
    os.close(descriptor)
    return None


def release(descriptor: int | None) -> None:
    """Give up a claim."""
    if descriptor is not None:
        with suppress(OSError):
            os.close(descriptor)


def remove_folder(folder: Path) -> None:
    """Remove a folder with all it holds, as far as this user may."""
    shutil.rmtree(folder, ignore_errors=True)
    # `rmtree` holds a descriptor per level, and there may be one left.
    for above, folders, files in os.walk(folder, topdown=False):
        for name in (*files, *folders):
            path = os.path.join(above, name)
            with suppress(OSError):
                os.rmdir(path) if name in folders and not os.path.islink(path) else os.unlink(path)
    with suppress(OSError):
        folder.rmdir()


def remove_left_folders(parent: Path) -> tuple[Path, ...]:
    """Remove scratch folders whose process was killed; which they were."""
    removed = []
    for folder in _mine(parent):
        # The mark comes after the claim; what has none yet was made this moment, or is somebody else's.
        marked = (folder / MARK).is_file()
        if (marked or _old(folder)) and (held := claim(folder)) is not None:
            if marked:
                remove_folder(folder)
            else:
                with suppress(OSError):  # Only where nothing is in it.
                    folder.rmdir()
            release(held)
            if not folder.exists():
                removed.append(folder)
    return tuple(removed)


def remove_left_parts(out: Path) -> None:
    """Remove files below a folder that were being written by a process that was killed."""
    for folder, _, names in os.walk(out):
        for path in (Path(folder, name) for name in names if name.startswith(TEMPORARY)):
            with suppress(OSError):
                # Nothing is written before the claim.
                found = path.stat(follow_symlinks=False)
                if stat.S_ISREG(found.st_mode) and (found.st_size or _old(path)) and (held := claim(path)) is not None:
                    path.unlink()
                    release(held)


def _mine(parent: Path) -> Iterator[Path]:
    try:
        with os.scandir(parent) as entries:
            found = [Path(e.path) for e in entries if _OURS.fullmatch(e.name) and e.is_dir(follow_symlinks=False)]
        yield from (f for f in found if f.stat(follow_symlinks=False).st_uid == os.getuid())
    except OSError:
        return


def _old(path: Path) -> bool:
    try:
        return time.time() - path.stat(follow_symlinks=False).st_mtime > OLD_SECONDS
    except OSError:
        return False
