"""A scratch folder that goes when its user does."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from assay_api.names import ENV_SCRATCH
from assay_runner import interruption
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
        folder = tempfile.TemporaryDirectory(prefix="assay-", dir=parent, ignore_cleanup_errors=True)
    except OSError as error:
        raise disk_error(error, Path(parent, "scratch")) from error
    try:
        yield Path(folder.name)
    finally:
        # Two Ctrl-C are as common as one, and the second must not leave half of the folder behind.
        with interruption.deferred():
            folder.cleanup()
