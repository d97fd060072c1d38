"""The test lab: real Kubernetes, real S3 and real images on a bare Linux machine, each as one context manager.

What a machine cannot offer (no root, no namespaces, no Go) ends in `Unavailable`, which the test suite turns into a
skipped test and a line beginning `NOT RUN:`. What should have worked and did not ends in `LabError`, with the last
lines of the log that says why.
"""

from __future__ import annotations

import hashlib
import os
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["LabError", "Unavailable", "cache_dir", "digest_of", "say", "step"]


class Unavailable(Exception):
    """This machine cannot run the thing; the message is one sentence: what is missing, and the way to get it."""


class LabError(RuntimeError):
    """A part of the lab should have worked and did not; the message carries the end of its log."""

    @property
    def last(self) -> str:
        """The last line of the message."""
        return str(self).strip().splitlines()[-1]


def cache_dir(*parts: str) -> Path:
    """Return (and create) a folder under `$ASSAY_CACHE`, by default `~/.cache/assay`.

    Everything in it is named by a digest of what it was built from, so the whole of it may be deleted at any time.
    """
    root = os.environ.get("ASSAY_CACHE")
    if not root:
        root = os.path.join(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "assay")
    folder = Path(root).absolute().joinpath(*parts)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def digest_of(parts: Iterable[str | bytes | Path]) -> str:
    """Return 16 hex digits naming `parts`: strings and bytes as they are, files and folders by path and content."""
    total = hashlib.sha256()
    for part in parts:
        if isinstance(part, Path):
            for file in sorted(p for p in part.rglob("*") if p.is_file()) if part.is_dir() else [part]:
                total.update(file.name.encode() + b"\0" + hashlib.sha256(file.read_bytes()).digest())
        else:
            total.update(hashlib.sha256(part.encode() if isinstance(part, str) else part).digest())
    return total.hexdigest()[:16]


def say(line: str) -> None:
    """Print one plain line of progress to standard error."""
    print(line, file=sys.stderr, flush=True)


@contextmanager
def step(what: str) -> Iterator[None]:
    """Print `what` when a long step starts, and its duration when it ends."""
    say(f"lab: {what} ...")
    begin = time.monotonic()
    yield
    say(f"lab: {what}: {time.monotonic() - begin:.1f} s")
