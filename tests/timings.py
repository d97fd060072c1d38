"""One timing cache for the builds of a whole test session, as a user's audits share one in their artifact store.

A test that needs a layer which another has timed does not time it again; engines are built all the same, so a test that
counts builds counts what it would count alone.
"""

from __future__ import annotations

import os
import tempfile
from functools import cache
from pathlib import Path
from typing import Final

from assay_api.audit import Storage
from assay_runner.backends import Backend
from assay_runner.backends.seams import SHARED, Keeping
from assay_runner.build_cache import TIMINGS, shared_uri
from assay_runner.shelves import SharedShelf
from assay_runner.stores import basename, open_store

__all__ = ["shared_by_audits", "shared_by_builds"]

STAYS: Final = "ASSAY_GPU_TIMINGS"
"""Names a folder in which the timing caches outlive the session."""


@cache
def _session() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="assay-timings-")


def _folder() -> Path:
    return Path(os.environ.get(STAYS) or _session().name).resolve()


def shared_by_audits(store: Path) -> None:
    """Let the audits that keep their files in this folder share timing caches with all others."""
    _link(store / TIMINGS, _folder() / TIMINGS)


def shared_by_builds(backend: Backend, workdir: Path) -> Path:
    """A working folder, made, whose builds share timing caches with each other, and begin with those of audits."""
    workdir.mkdir(parents=True, exist_ok=True)
    if isinstance(backend, Keeping):
        stored = shared_uri(f"file://{_folder()}", backend)
        folder = _folder() / "builds" / basename(stored)
        if not folder.exists():
            SharedShelf(open_store(Storage()), stored, folder, backend.merge).fetch()
        _link(workdir / SHARED, folder)
    return workdir


def _link(link: Path, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    link.parent.mkdir(parents=True, exist_ok=True)
    if not link.is_symlink():
        link.symlink_to(folder)
