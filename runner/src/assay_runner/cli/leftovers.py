"""Reports of an earlier run in the output folder: they go before a run starts.

A run that ends without a report must not leave yesterday's `Passed` where a pipeline looks for today's. Only files that
Assay wrote are removed: by name, and by what they begin with.
"""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from assay_api.names import REPORT_CTRF, REPORT_HTML, REPORT_JSON, REPORT_JUNIT, REPORT_VERSION
from assay_runner.errors import InvalidInput
from assay_runner.stores.files import disk_error
from assay_runner.stores.regular import open_regular
from assay_runner.tasks.seal import SEAL

_MARKS: Final = {
    REPORT_HTML: "· Assay</title>".encode(),
    REPORT_JUNIT: b'<testsuites name="assay ',
    REPORT_CTRF: b'"generatedBy": "assay"',
    REPORT_JSON: REPORT_VERSION.encode(),
    SEAL: b'"report": "',
}
"""What tells a file of ours from another of its name; it stands in the first bytes."""
_HEAD: Final = 4096
RECOMMENDED: Final = "recommended"
"""Folder with what to ship."""
RECOMMENDED_NOTE: Final = "recommended.json"
"""What stands in it says of the others."""
RECOMMENDED_VERSION: Final = "assay.dev/recommended/v1"


def remove_reports(out: Path) -> None:
    """Remove the reports of an earlier run from its folder, and from the folders of the candidates it names.

    Folders that are empty then go too; nothing else does.

    Raises:
        InvalidInput: a file may not be removed, or is none although it has the name of a report.
        Unavailable: the disk fails.
    """
    for folder in _candidates(out):
        _remove(folder)
        with suppress(OSError):
            folder.rmdir()
    _remove(out)
    _remove_recommended(out / RECOMMENDED)


def check_free(out: Path) -> None:
    """Do nothing where there is room for what is to be shipped.

    Raises:
        InvalidInput: a folder or file of that name is in the way.
    """
    folder = out / RECOMMENDED
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InvalidInput(f"{folder} is in the way, and is none of Assay's: move it, or give another --out")


def _remove_recommended(folder: Path) -> None:
    """Remove what was to be shipped of an earlier run: the files that its note names."""
    path = folder / RECOMMENDED_NOTE
    try:
        with open_regular(path, str(path)) as file:
            note = json.loads(file.read())
    except (OSError, ValueError, RecursionError):
        return
    if not isinstance(note, dict) or note.get("version") != RECOMMENDED_VERSION:
        return
    files = note.get("files")
    for name in (*(files if isinstance(files, list) else ()), RECOMMENDED_NOTE):
        if isinstance(name, str) and not Path(name).is_absolute() and ".." not in Path(name).parts:
            try:
                (folder / name).unlink(missing_ok=True)
            except OSError as error:
                raise disk_error(error, folder / name) from error
            for parent in Path(name).parents:
                with suppress(OSError):
                    (folder / parent).rmdir()


def _candidates(out: Path) -> list[Path]:
    """Folders that the summary names, or that hold a report whose task is the folder's name."""
    try:
        folders = [entry for entry in out.iterdir() if entry.is_dir() and not entry.is_symlink()]
    except OSError:
        return []
    found = _report(out).get("candidates")
    named = {c.get("name") for c in found if isinstance(c, dict)} if isinstance(found, list) else set()
    return [f for f in sorted(folders) if f.name in named or _report(f).get("task") == f.name]


def _report(folder: Path) -> dict[str, Any]:
    """The folder's report.json, empty where there is none of ours."""
    path = folder / REPORT_JSON
    try:
        with open_regular(path, str(path)) as file:
            report = json.loads(file.read())
    except (OSError, ValueError, RecursionError):
        return {}
    return report if isinstance(report, dict) and report.get("version") == REPORT_VERSION else {}


def _remove(folder: Path) -> None:
    for name, mark in _MARKS.items():
        path = folder / name
        try:
            with open_regular(path, str(path)) as file:
                ours = mark in file.read(_HEAD)
            if ours:
                path.unlink()
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            raise disk_error(error, path) from error
