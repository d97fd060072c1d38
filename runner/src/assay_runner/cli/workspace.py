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
from assay_runner.stores.files import disk_error


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """An empty folder below the one the environment names, else below the system's; removed with all it holds.

    Raises:
        InvalidInput: no folder can be made there.
        Unavailable: the disk is full.
    """
    parent = os.environ.get(ENV_SCRATCH) or tempfile.gettempdir()
    try:
        Path(parent).mkdir(parents=True, exist_ok=True)
        folder = _taken_over() or Path(tempfile.mkdtemp(prefix="assay-", dir=parent))
    except OSError as error:
        raise disk_error(error, Path(parent, "scratch")) from error
    journal.scratch(folder)
    try:
        yield folder
    finally:
        # Two Ctrl-C are as common as one, and the second must not leave half of the folder behind.
        with interruption.deferred():
            shutil.rmtree(folder, ignore_errors=True)
            journal.scratch(None)


def _taken_over() -> Path | None:
    """The folder of the process before this one, which died: what it had built is there, and nothing else of it."""
    folder = journal.inherited_scratch()
    if folder is None:
        return None
    from assay_runner.backends.seams import KEPT, SHARED
    from assay_runner.tasks.context import WORK

    others = [path for path in folder.iterdir() if path.name != WORK]
    others += [path for path in folder.glob(f"{WORK}/*/*") if path.name not in (KEPT, SHARED)]
    for path in others:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
    return folder
