"""Object stores: one Protocol per verb, so that a function asks for exactly what it uses, and one table.

A new store is a file here and a line in `STORES`; the contract suite in tests/contract runs over every entry.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True)
class Stat:
    """An object as a listing shows it.

    Attributes:
        uri: the whole URI.
        size: bytes.
        version: changes whenever the content does (an S3 ETag; size and modification time for files).
    """

    uri: str
    size: int
    version: str


class Stats(Protocol):
    """Can look an object up."""

    def stat(self, uri: str) -> Stat | None:
        """The object, or None where there is none. Raises Unavailable when the store cannot be reached or refuses."""
        ...


class Lists(Protocol):
    """Can list a prefix."""

    def list(self, prefix: str) -> Iterator[Stat]:
        """Objects whose URI starts with the prefix, by name."""
        ...


class Gets(Protocol):
    """Can fetch an object."""

    def get(self, uri: str, path: Path) -> None:
        """Stream the object into a file, which appears whole or not at all. Raises InvalidInput where there is none."""
        ...

    def read(self, uri: str) -> bytes:
        """A small object's content. Raises InvalidInput where there is none."""
        ...


class Puts(Protocol):
    """Can store an object."""

    def put(self, uri: str, source: Path | bytes, content_type: str = "application/octet-stream") -> None:
        """Store the object; readers see it whole or not at all."""
        ...


class Store(Stats, Lists, Gets, Puts, Protocol):
    """All verbs."""
