"""One store for all URIs: the scheme decides who serves it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from threading import Lock

from assay_runner.stores import Opening, Stat, Store, open_one


class RoutingStore:
    """Every verb, passed to the store of the URI's scheme; stores are opened once, when first used."""

    def __init__(self, opening: Opening) -> None:
        """Open nothing yet."""
        self._opening = opening
        self._open: dict[str, Store] = {}
        self._lock = Lock()

    def _of(self, uri: str) -> Store:
        scheme = uri.partition("://")[0]
        with self._lock:
            if scheme not in self._open:
                self._open[scheme] = open_one(scheme, self._opening)
            return self._open[scheme]

    def stat(self, uri: str) -> Stat | None:
        """See `Stats`."""
        return self._of(uri).stat(uri)

    def list(self, prefix: str) -> Iterator[Stat]:
        """See `Lists`."""
        return self._of(prefix).list(prefix)

    def get(self, uri: str, path: Path, named_by: str | None = None, version: str | None = None) -> None:
        """See `Gets`."""
        self._of(uri).get(uri, path, named_by, version)

    def read(self, uri: str) -> bytes:
        """See `Gets`."""
        return self._of(uri).read(uri)

    def read_range(self, uri: str, start: int, length: int, version: str | None = None) -> bytes:
        """See `Gets`."""
        return self._of(uri).read_range(uri, start, length, version)

    def local_path(self, uri: str) -> Path | None:
        """See `Gets`."""
        return self._of(uri).local_path(uri)

    def put(self, uri: str, source: Path | bytes, content_type: str = "application/octet-stream") -> None:
        """See `Puts`."""
        self._of(uri).put(uri, source, content_type)
