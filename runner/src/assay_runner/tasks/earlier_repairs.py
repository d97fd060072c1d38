"""What the repair of another run has left in the folder of this one: on a laptop all runs share a folder.

What is kept of a repair is replaced file by file. A plan or a timing cache of another run beside the model of this one
would be taken for its engine, and a model that nothing replaces for its cure.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Final

from assay_api.model import Model
from assay_api.plan import Task
from assay_runner.remedies.deploy import MODEL, PLAN, SCRIPT, TACTICS, TIMINGS, external_files
from assay_runner.stores import Store, join
from assay_runner.stores.files import disk_error
from assay_runner.stores.sealed import Damaged, put_record, read_record

NOTE: Final = "repair-of.json"
WHAT: Final = "note of a repair"
SHEBANG: Final = b"#!/bin/sh\n# "


class RepairNote(Model):
    """Whose the files beside it are."""

    of: str
    """Digest of the run and of its data."""


def without_earlier(task: Task, store: Store, of: str) -> None:
    """Remove what another run's repair left, where runs share a folder; note whose it is from here on.

    Args:
        task: the repair.
        store: where it leaves files.
        of: digest of all that it depends on: one that goes on where it was stopped finds its own.

    Raises:
        InvalidInput: a file may not be removed.
        Unavailable: the disk fails.
    """
    folder = store.local_path(task.folder)
    if folder is None:
        return  # In an object store every run has a folder of its own.
    uri = join(task.folder, NOTE)
    try:
        note = read_record(store, uri, RepairNote, WHAT)
    except Damaged:
        note = None
    if note is None or note.of != of:
        for script in sorted(folder.glob(f"*/{SCRIPT}")):
            _remove(script.parent)
        put_record(store, uri, RepairNote(of=of))


def _remove(folder: Path) -> None:
    """Remove the files of one repaired candidate, and the folder where nothing else is in it."""
    with suppress(OSError):
        if not (folder / SCRIPT).read_bytes().startswith(SHEBANG):
            return  # None of ours.
    names = [MODEL, PLAN, TIMINGS, TACTICS]
    with suppress(Exception):
        names += external_files(folder / MODEL)  # Of a model that cannot be read nothing is known beside it.
    for name in (*names, SCRIPT):
        path = folder / name
        if Path(name).is_absolute() or ".." in Path(name).parts:
            continue
        try:
            path.unlink(missing_ok=True)
        except IsADirectoryError:
            continue
        except OSError as error:
            raise disk_error(error, path) from error
    with suppress(OSError):
        folder.rmdir()
