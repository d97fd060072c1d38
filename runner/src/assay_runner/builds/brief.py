"""A build that is tried and thrown away: a search makes dozens of them in one process."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp
from typing import TYPE_CHECKING

from assay_runner.backends.seams import SHARED
from assay_runner.backends.subject import Subject

if TYPE_CHECKING:
    from assay_runner.builds.cache import BuildRequest
    from assay_runner.tensors import Progress


@contextmanager
def briefly_built(
    request: BuildRequest, key: str, scratch: Path, progress: Progress, alone: bool = False
) -> Iterator[Subject]:
    """Build into a folder of its own; afterwards the backend holds nothing of it, and the folder is gone.

    What serves every build of one device, its timing cache, is shared by all builds in one scratch folder.

    Args:
        request: what is to be built.
        key: what to call the candidate.
        scratch: where the folder is made; the builds' own, and stays.
        progress: told how far it is.
        alone: whether it shares nothing, so that every layer is timed anew.

    Raises:
        InvalidInput: the model cannot be built so.
        Unsupported: something is missing here, or does not exist in this version.
    """
    shared = scratch.resolve() / SHARED
    shared.mkdir(parents=True, exist_ok=True)
    folder = Path(mkdtemp(prefix="build-", dir=scratch))
    if not alone:
        (folder / SHARED).symlink_to(shared)
    try:
        built = request.build(folder, progress)
        try:
            yield Subject(key, request.backend, built, request.model)
        finally:
            request.backend.release(built)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
