"""What an image is built of, as one name: the same name, the same image."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

__all__ = ["recipe"]


def recipe(context: Path, dockerfile: Path, told: Iterable[str]) -> str:
    """Return 32 hex digits naming a build: its instructions, what it is told beside them, and the files it may copy.

    Of files their paths, permissions and contents, of links what they lead to.
    """
    total = hashlib.sha256(dockerfile.read_bytes())
    for word in told:
        total.update(b"\0" + word.encode())
    for path in _files(context):
        mode = path.lstat().st_mode
        total.update(f"\0{path.relative_to(context)}\0{mode:o}\0".encode())
        total.update(os.readlink(path).encode() if path.is_symlink() else hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()[:32]


def _files(context: Path) -> Iterator[Path]:
    """All that is no folder and that a build may copy, and of what its .dockerignore leaves out perhaps some more."""
    for folder, inner, names in os.walk(context):
        inner[:] = sorted(name for name in inner if name != "__pycache__")
        if Path(folder) == context and (let_in := _let_in(context)):
            inner[:] = [name for name in inner if name in let_in]
            names = [name for name in names if name in let_in]
        links = [name for name in inner if (Path(folder) / name).is_symlink()]
        yield from (Path(folder) / name for name in sorted([*names, *links]))


def _let_in(context: Path) -> frozenset[str]:
    """Names at the top of a context whose .dockerignore leaves out everything else; none where it does not."""
    ignore = context / ".dockerignore"
    lines = ignore.read_text().splitlines() if ignore.exists() else []
    rules = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
    if rules[:1] != ["*"]:
        return frozenset()
    return frozenset(rule[1:].strip("/").partition("/")[0] for rule in rules if rule.startswith("!"))
