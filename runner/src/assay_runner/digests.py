"""Digests: of what a result depends on, and of files."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import BinaryIO, Final

_PIECE: Final = 1 << 20
"""Bytes read at a time."""


def cache_key(**parts: str) -> str:
    """Digest of everything a cached result depends on."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:32]


def file_sha256(path: Path) -> str:
    """SHA-256 of a file in hexadecimal."""
    with path.open("rb") as file:
        return open_sha256(file)


def open_sha256(file: BinaryIO) -> str:
    """SHA-256 in hexadecimal of what an opened file holds from where it stands."""
    digest = hashlib.sha256()
    while piece := file.read(_PIECE):
        digest.update(piece)
    return digest.hexdigest()
