"""Digests: of what a result depends on, and of files."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path


def cache_key(**parts: str) -> str:
    """Digest of everything a cached result depends on."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:32]


def file_sha256(path: Path) -> str:
    """SHA-256 of a file in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
