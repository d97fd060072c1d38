"""memory:// URIs: objects in this process, for tests that want a store and no disk."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

from assay_runner.errors import InvalidInput
from assay_runner.stores import Opening, Replaced, Stat
from assay_runner.stores.files import whole_file


def open_memory(opening: Opening) -> MemoryStore:
    """An empty store."""
    return MemoryStore()


class MemoryStore:
    """A dictionary held to the same contract as every other store."""

    def __init__(self) -> None:
        """Start empty."""
        self._objects: dict[str, bytes] = {}

    def stat(self, uri: str) -> Stat | None:
        """See `Stats`."""
        content = self._objects.get(uri)
        return None if content is None else Stat(uri, len(content), hashlib.sha256(content).hexdigest())

    def list(self, prefix: str) -> Iterator[Stat]:
        """See `Lists`."""
        for uri in sorted(self._objects, key=str.encode):
            found = self.stat(uri) if uri.startswith(prefix) else None
            if found:
                yield found

    def get(self, uri: str, path: Path, named_by: str | None = None, version: str | None = None) -> None:
        """See `Gets`; keys have no links."""
        content = self._of(uri, version)
        with whole_file(path, len(content)) as file:
            file.write(content)

    def read(self, uri: str) -> bytes:
        """See `Gets`."""
        if uri not in self._objects:
            raise InvalidInput(f"{uri} does not exist: correct the URI or put the object there")
        return self._objects[uri]

    def read_range(self, uri: str, start: int, length: int, version: str | None = None) -> bytes:
        """See `Gets`."""
        return self._of(uri, version)[start : start + length]

    def _of(self, uri: str, version: str | None) -> bytes:
        content = self.read(uri)
        if version is not None and version != hashlib.sha256(content).hexdigest():
            raise Replaced(uri)
        return content

    def local_path(self, uri: str) -> Path | None:
        """See `Gets`."""
        return None

    def put(self, uri: str, source: Path | bytes, content_type: str = "application/octet-stream") -> None:
        """See `Puts`."""
        self._objects[uri] = source if isinstance(source, bytes) else source.read_bytes()
