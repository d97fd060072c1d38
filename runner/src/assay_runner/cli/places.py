"""Paths that a user gives: made absolute, known to be text, and free for what will be written there.

What can be known of them at the start is said at the start, and not after an hour of work.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from assay_api.names import REPORT_CTRF, REPORT_HTML, REPORT_JSON, REPORT_JUNIT
from assay_runner.cli.failures import printable
from assay_runner.errors import InvalidInput
from assay_runner.stores.files import disk_error

WRITTEN: Final = (REPORT_HTML, REPORT_JUNIT, REPORT_CTRF, REPORT_JSON)
"""Files that each task leaves in its folder."""


def absolute(path: str | Path, what: str) -> Path:
    """The path from the root on; `what` is what to call it in a sentence.

    Raises:
        InvalidInput: it is relative to a folder that is gone, or is no UTF-8: reports and libraries name it as text.
    """
    try:
        found = Path(path).absolute()
    except FileNotFoundError:
        raise InvalidInput(
            "the current folder was removed: change to one that is there, or give absolute paths"
        ) from None
    try:
        str(found).encode()
    except UnicodeEncodeError:
        raise InvalidInput(
            f"{what} {printable(str(found))} is no UTF-8 text: name one that is, in a locale of UTF-8 (PYTHONUTF8=1)"
        ) from None
    return found


def temporary() -> Path:
    """The system's folder for scratch files; where none can be written, the usual one: who writes there says why."""
    try:
        return Path(tempfile.gettempdir())
    except FileNotFoundError:
        return Path(os.environ.get("TMPDIR") or "/tmp")


def check_results(out: Path, folders: Iterable[Path]) -> None:
    """Do nothing where a run may write its results.

    Args:
        out: folder of the run, which is there.
        folders: of its tasks, below it, which need not be.

    Raises:
        InvalidInput: something is in the way, or the folder may not be written.
        Unavailable: the disk fails.
    """
    for folder in (out, *folders):
        if folder != out and folder.is_symlink():
            raise InvalidInput(f"{folder} is a link, and results go into folders of {out} itself: remove it")
        if os.path.lexists(folder) and not folder.is_dir():
            raise InvalidInput(f"{folder} is no folder, and results go there: move it, or give another --out")
        for name in WRITTEN:
            path = folder / name
            if path.is_dir() and not path.is_symlink():
                raise InvalidInput(f"{path} is a folder, and a report goes there: move it, or give another --out")
        if folder.is_dir():
            _check_writable(folder)


def _check_writable(folder: Path) -> None:
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise disk_error(error, folder / REPORT_JSON) from error
