"""A scratch folder that goes when its user does."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from assay_api.names import ENV_SCRATCH
from assay_runner import interruption, journal
from assay_runner.cli.failures import say
from assay_runner.cli.places import absolute, temporary
from assay_runner.errors import InvalidInput, Unavailable
from assay_runner.stores.claims import MARK, PREFIX, claim, release, remove_folder, remove_left_folders
from assay_runner.stores.files import disk_error


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """An empty folder below the one the environment names, else below the system's; removed with all it holds.

    Raises:
        InvalidInput: no folder can be made there.
        Unavailable: the disk is full.
    """
    parent = absolute(os.environ.get(ENV_SCRATCH) or temporary(), "the folder for scratch files")
    try:
        parent.mkdir(parents=True, exist_ok=True)
    except FileExistsError as error:
        raise InvalidInput(f"{ENV_SCRATCH} names {parent}, which is no folder: name one, or unset it") from error
    except OSError as error:
        raise _unwritable(error, parent) from error
    for left in remove_left_folders(parent):
        say(f"removed the scratch files of a run that was killed: {left}")
    folder, claimed = _taken_over() or _fresh(parent)
    journal.scratch(folder)
    try:
        yield folder
    finally:
        # Two Ctrl-C are as common as one, and the second must not leave half of the folder behind.
        with interruption.deferred():
            remove_folder(folder)
            release(claimed)
            if folder.exists():  # For want of the descriptor that the claim took.
                remove_folder(folder)
            journal.scratch(None)


def _unwritable(error: OSError, parent: Path) -> InvalidInput | Unavailable:
    told = disk_error(error, parent / "scratch")
    if isinstance(told, Unavailable):
        return told
    reason = (error.strerror or type(error).__name__).lower()
    return InvalidInput(f"no scratch files can be written to {parent}: {reason}; name another folder in {ENV_SCRATCH}")


def _fresh(parent: Path) -> tuple[Path, int | None]:
    """A new folder, and what holds the claim on it."""
    folder: Path | None = None
    try:
        folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent))
        claimed = claim(folder)
        (folder / MARK).touch()
        return folder, claimed
    except OSError as error:
        if folder is not None:
            remove_folder(folder)
        raise _unwritable(error, parent) from error


def _taken_over() -> tuple[Path, int | None] | None:
    """The folder of the process before this one, which died: what it had built is there, and nothing else of it."""
    folder = journal.inherited_scratch()
    claimed = None if folder is None else claim(folder)
    # Another run may have found it before this one, and be removing it.
    if folder is None or not (folder / MARK).is_file():
        release(claimed)
        return None
    from assay_runner.backends.seams import KEPT, SHARED
    from assay_runner.tasks.context import WORK

    others = [path for path in folder.iterdir() if path.name not in (WORK, MARK)]
    others += [path for path in folder.glob(f"{WORK}/*/*") if path.name not in (KEPT, SHARED)]
    for path in others:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
    return folder, claimed
