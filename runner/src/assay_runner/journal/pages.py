"""A journal: two files without a name, which outlive the process that writes and are read by the one that watches."""

from __future__ import annotations

import json
import os
import struct
import tempfile
import time
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

PATIENCE: Final = 1800.0
"""Seconds without a sign of life after which a step counts as one that never ends, where nothing else is said."""
_BEAT: Final = struct.Struct("d")
_PAGE: Final = 4096
_WORDS: Final = 160


@dataclass(frozen=True)
class Step:
    """Something that may end the process.

    Attributes:
        path: its name and those of the steps around it, outermost first.
        words: what is being done, as in "building the engine".
        purpose: what for, as names of checks, where that is known; no part of the journal.
    """

    path: tuple[str, ...]
    words: str
    purpose: str = ""


@dataclass(frozen=True)
class Seen:
    """What a journal says of a process.

    Attributes:
        steps: open ones, outermost first; what is loaded beside them comes last.
        patience: seconds without a sign of life after which an open step never ends.
        code: exit code, once everything is done.
        scratch: its scratch folder.
        beat: when it last showed that it lives, by the monotonic clock.
    """

    steps: tuple[Step, ...] = ()
    patience: float = PATIENCE
    code: int | None = None
    scratch: str = ""
    beat: float = 0.0


class Journal:
    """Two files without a name: what is open now, in one page written at once; and what is done, line by line."""

    def __init__(self) -> None:
        """Nothing is open or done."""
        self._now, self._done = _nameless(), _nameless()
        os.pwrite(self._now, bytes(2 * _PAGE), 0)

    def write(self, seen: Seen) -> None:
        """What is open now; the patience and what else there is to know."""
        # Within one page, so that no death leaves half of it.
        os.pwrite(self._now, _page(seen.steps, seen.patience, seen.code, seen.scratch), 0)

    def beat(self) -> None:
        """The process lives."""
        os.pwrite(self._now, _BEAT.pack(time.monotonic()), _PAGE)

    def read(self) -> Seen:
        """What it says now."""
        # Short where a limit on the size of files (ulimit -f) holds for memory too.
        (beat,) = _BEAT.unpack(os.pread(self._now, _BEAT.size, _PAGE).ljust(_BEAT.size, b"\0"))
        try:
            steps, patience, code, scratch = json.loads(os.pread(self._now, _PAGE, 0).rstrip(b"\0") or b"x")
        except ValueError:
            return Seen(beat=beat)
        return Seen(_paths(steps), patience, code, scratch, beat)

    def add(self, entry: Any) -> None:
        """Something that the next process need not do again."""
        os.write(self._done, json.dumps(entry).encode() + b"\n")

    def entries(self) -> list[Any]:
        """What was added, in order; a last one that was cut by a death is left out."""
        content = os.pread(self._done, os.fstat(self._done).st_size, 0)
        return [json.loads(line) for line in content.split(b"\n")[:-1]]


@lru_cache(64)
def _page(steps: tuple[Step, ...], patience: float, code: int | None, scratch: str) -> bytes:
    """What is written; the same few steps are entered and left again with every batch."""
    told = [[len(step.path), step.path[-1], step.words[:_WORDS]] for step in steps]
    text = json.dumps([told, patience, code, scratch], ensure_ascii=False)
    return text.encode(errors="replace").ljust(_PAGE, b" ")[:_PAGE]


def _paths(steps: list[tuple[int, str, str]]) -> tuple[Step, ...]:
    """Steps from their depths, names and words; one of depth 1 behind others is beside them."""
    path: tuple[str, ...] = ()
    found = []
    for depth, name, words in steps:
        path = (*path[: depth - 1], name)
        found.append(Step(path, words))
    return tuple(found)


def _nameless() -> int:
    """A file that no name leads to and a child inherits."""
    if hasattr(os, "memfd_create"):
        return os.memfd_create("assay-journal")
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())
