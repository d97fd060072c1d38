"""What a reader is: how it knows its files, and how it reads them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

from assay_runner.data.arrays import Format
from assay_runner.tensors import Array

Role = Literal["inputs", "outputs"]


class File(NamedTuple):
    """A file on this machine."""

    name: str
    """What to call it in a sentence."""
    path: Path
    """Where it lies; opened by `open_regular`."""


@dataclass(frozen=True)
class Wanted:
    """What is looked for in files.

    Attributes:
        role: whether they are to hold a model's inputs or its outputs.
        names: of these, in the model's order; empty where the model is not known.
    """

    role: Role = "inputs"
    names: tuple[str, ...] = ()


Parts = Callable[[Sequence[File], Wanted], Iterator[Mapping[str, Array]]]
"""Arrays of each part (a shard, or a feed) of files that belong together; memory holds one part."""


@dataclass(frozen=True)
class Reader:
    """Reads one kind of files, in place by its `format`, or else part by part into .npz files on the scratch disk.

    Attributes:
        name: of the reader.
        what: the files it reads, in a few words.
        takes: whether a file is its own, by its name below the prefix and what it is to hold.
        format: of files that are read where they lie.
        parts: reads any others.
        folders: whether the files of one folder belong together; else each is by itself.
        as_given: whether outputs lie in it as the model gives them, and not with their samples first.
        ordered: whether parts have no names by which inputs and outputs could be matched, but an order.
        last: whether it gives way to any other reader that knows some of the files.
        version: of a reader whose code may change.
    """

    name: str
    what: str
    takes: Callable[[str, Role], bool]
    format: Format | None = None
    parts: Parts | None = None
    folders: bool = False
    as_given: bool = False
    ordered: bool = False
    last: bool = False
    version: str = ""
