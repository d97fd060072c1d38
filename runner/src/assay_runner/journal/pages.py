"""A journal: what outlives the process that writes it and is read by the one that watches, which made both."""

from __future__ import annotations

import json
import mmap
import os
import struct
import tempfile
import time
from dataclasses import dataclass
from typing import Any, Final

PATIENCE: Final = 1800.0
"""Seconds without a sign of life after which a step counts as one that never ends, where nothing else is said."""
_BEAT: Final = struct.Struct("d")
_NUMBER: Final = struct.Struct("Q")
_PAGE: Final = 4096
_PAGES: Final = 32
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
    """Memory and a file that a child shares: what is open now, in one page each, and what is done, line by line.

    A page that was written stays for a while, so that a few steps which are entered and left with every batch cost a
    number each: which page it is now. The number is stored at once, and no page that it may name is written to, so that
    no death leaves half of one.
    """

    def __init__(self) -> None:
        """Nothing is open or done."""
        self._now, self._done = mmap.mmap(-1, _PAGE * (1 + _PAGES)), _nameless()
        self._last = 0

    def write(self, seen: Seen) -> int:
        """What is open now; the patience and what else there is to know. Returns a number for `turn`."""
        # A process before this one may have gone further.
        (shown,) = _NUMBER.unpack_from(self._now, _BEAT.size)
        number = 1 + max(self._last, int(shown))
        begin = _PAGE * (1 + number % _PAGES)
        self._now[begin : begin + _PAGE] = _page(seen.steps, seen.patience, seen.code, seen.scratch)
        self._last = number
        _NUMBER.pack_into(self._now, _BEAT.size, number)
        return number

    def turn(self, number: int) -> bool:
        """Let it be what was written then; False where other pages have taken its place."""
        # One less than there are: the next to be written must not be the one that is shown.
        if self._last - number >= _PAGES - 1:
            return False
        _NUMBER.pack_into(self._now, _BEAT.size, number)
        return True

    def beat(self) -> None:
        """The process lives."""
        _BEAT.pack_into(self._now, 0, time.monotonic())

    def read(self) -> Seen:
        """What it says now."""
        (beat,), (number,) = _BEAT.unpack_from(self._now, 0), _NUMBER.unpack_from(self._now, _BEAT.size)
        begin = _PAGE * (1 + number % _PAGES)
        try:
            steps, patience, code, scratch = json.loads(self._now[begin : begin + _PAGE].rstrip(b"\0") or b"x")
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


def _page(steps: tuple[Step, ...], patience: float, code: int | None, scratch: str) -> bytes:
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
