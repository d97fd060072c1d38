"""Object stores: one Protocol per verb, so that a function asks for exactly what it uses, and one table.

A new store is a file here and a line in `STORES`; the contract suite in tests/contract runs over every entry. A store
decides whose move a failure is: what is not there or not allowed is `InvalidInput`, what does not answer is retried
and then `Unavailable`.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol, cast

from assay_api.audit import Storage
from assay_runner.errors import InvalidInput


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


class Replaced(InvalidInput):
    """An object is no longer of the version that was seen of it."""

    def __init__(self, uri: str) -> None:
        """`uri` names the object."""
        super().__init__(
            f"{uri} was replaced while the audit ran: leave what it reads alone until it has ended, and run it again"
        )


class Stats(Protocol):
    """Can look an object up."""

    def stat(self, uri: str) -> Stat | None:
        """The object, or None where there is none. Raises Unavailable when the store cannot be reached or refuses."""
        ...


class Lists(Protocol):
    """Can list a prefix."""

    def list(self, prefix: str) -> Iterator[Stat]:
        """Objects whose URI starts with the prefix, by name (in the order of their UTF-8 bytes)."""
        ...


class Gets(Protocol):
    """Can fetch an object."""

    def get(self, uri: str, path: Path, named_by: str | None = None, version: str | None = None) -> None:
        """Stream the object into a file, which appears whole or not at all. Raises InvalidInput where there is none.

        Where a `version` is given (see `Stat`), no other is: `Replaced` is raised where it has another one by now.

        Where another object names it (`named_by`), it must belong to that object, links followed to their end. A large
        one may then be a second name of the object, if it lies on this disk: such a file is only ever read.
        """
        ...

    def read(self, uri: str) -> bytes:
        """A small object's content. Raises InvalidInput where there is none."""
        ...

    def read_range(self, uri: str, start: int, length: int, version: str | None = None) -> bytes:
        """At most `length` bytes from `start` on; fewer at the end of the object. `length` is at least 1.

        Of a `version` as in `get`.
        """
        ...

    def local_path(self, uri: str) -> Path | None:
        """Where the object lies on this machine's disk, so that nobody copies it; None where it does not.

        It is opened by `open_regular`, for anything may lie there.
        """
        ...


class Puts(Protocol):
    """Can store an object."""

    def put(self, uri: str, source: Path | bytes, content_type: str = "application/octet-stream") -> None:
        """Store the object; readers see it whole or not at all."""
        ...


class Store(Stats, Lists, Gets, Puts, Protocol):
    """All verbs."""


@dataclass(frozen=True)
class Opening:
    """What a store may need to be opened.

    Attributes:
        storage: endpoint and region of s3://.
        base: folder that file://./path is relative to, or None where relative paths have no meaning.
        notify: called with a few words while the store is being waited for.
    """

    storage: Storage
    base: Path | None
    notify: Callable[[str], None]


STORES: Final[dict[str, str]] = {
    "file": "assay_runner.stores.local:open_local",
    "s3": "assay_runner.stores.s3:open_s3",
    "memory": "assay_runner.stores.memory:open_memory",
}
"""URI scheme → "module:function" of `Opening` that opens the store; imported when first used, for boto3 is slow to."""


def open_one(scheme: str, opening: Opening) -> Store:
    """The store of one scheme.

    Raises:
        InvalidInput: no store has the scheme.
    """
    if scheme not in STORES:
        raise InvalidInput(f"no store reads {scheme}:// URIs: use s3://bucket/key or file:///path")
    module, function = STORES[scheme].split(":")
    opener = getattr(importlib.import_module(module), function)
    return cast(Store, opener(opening))


def open_store(storage: Storage, base: Path | None = None, notify: Callable[[str], None] = lambda _: None) -> Store:
    """A store for every scheme of `STORES`, each opened when first asked for."""
    from assay_runner.stores.routing import RoutingStore

    return RoutingStore(Opening(storage, base, notify))


def join(prefix: str, *names: str) -> str:
    """URI of an object below a prefix."""
    return "/".join((prefix.rstrip("/"), *names))


def beside(uri: str, name: str) -> str:
    """URI of an object in the same folder as another."""
    return f"{uri.rsplit('/', 1)[0]}/{name}"


def basename(uri: str) -> str:
    """Last part of a URI's path."""
    return uri.rstrip("/").rsplit("/", 1)[-1]
