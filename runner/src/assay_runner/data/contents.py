"""What lies at a URI, described: who reads it, and which arrays its parts hold. Nothing of their values is read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from assay_runner.data.arrays import ArrayHeader
from assay_runner.data.finding import find
from assay_runner.data.readers.reader import Role, Wanted

if TYPE_CHECKING:
    from assay_runner.stores import Store


@dataclass(frozen=True)
class PartContents:
    """One shard, or one feed.

    Attributes:
        name: what to call it in a sentence.
        key: by which inputs and outputs of a feed belong together; `#` and its place where its kind has no names.
        arrays: their headers by name: element type and shape.
    """

    name: str
    key: str
    arrays: Mapping[str, ArrayHeader]

    @property
    def rows(self) -> int | None:
        """Samples of it as a shard: the first axis of every array; None where they differ or one has none."""
        firsts = {header.shape[:1] for header in self.arrays.values()}
        return next((first[0] for first in firsts if first), None) if len(firsts) == 1 else None


@dataclass(frozen=True)
class Contents:
    """What was found.

    Attributes:
        uri: where.
        reader: name of who reads it, as in `data.readers.READERS`.
        parts: in their order.
        whole: whether these are all there are.
    """

    uri: str
    reader: str
    parts: tuple[PartContents, ...]
    whole: bool

    @property
    def samples(self) -> int | None:
        """Rows of all parts together, as layout samples counts them; None where one has no common first axis."""
        rows = [part.rows for part in self.parts]
        return None if None in rows else sum(row for row in rows if row is not None)

    def shapes(self, array: str) -> tuple[tuple[int, ...], ...]:
        """The shapes that an array has, each once, in the order of the parts."""
        return tuple(dict.fromkeys(part.arrays[array].shape for part in self.parts if array in part.arrays))


def contents_of(
    store: Store,
    uri: str,
    scratch: Path,
    *,
    role: Role = "inputs",
    names: tuple[str, ...] = (),
    most: int | None = None,
) -> Contents:
    """Describe what lies at a URI.

    Args:
        store: where it lies.
        uri: a file, or a prefix of files.
        scratch: folder for what must be rewritten to be read.
        role: whether inputs or outputs are looked for.
        names: those of the model, in its order, by which files that only have numbers are called.
        most: look at so many parts at most.

    Raises:
        InvalidInput: nothing is there that a reader knows, or it cannot be read.
        Unavailable: the store does not answer, or the disk is full.
    """
    wanted = Wanted(role, names)
    found = find(store, uri, "dataset" if role == "inputs" else "stored outputs", wanted)
    there = found.parts(store, wanted, scratch)
    parts = tuple(PartContents(part.name, part.key, part.headers(store)) for part in islice(there, most))
    return Contents(uri, found.reader.name, parts, next(there, None) is None)
