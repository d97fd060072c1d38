"""Steps that are open, or were: a few of them are entered and left again with every batch."""

from __future__ import annotations

import zlib
from typing import Final

from assay_runner.journal.pages import Step

_NAME: Final = 80
_REMEMBERED: Final = 1000
"""Steps inside one that are remembered."""


class Open:
    """A step that is open, or was and may be again: what was found out for it need not be found out for every batch."""

    __slots__ = ("inner", "page", "step", "version")

    def __init__(self, step: Step | None) -> None:
        self.step, self.inner = step, dict[tuple[str, str, str], Open]()
        self.page = self.version = -1

    def enter(self, name: str, words: str, purpose: str) -> Open:
        """One of those inside it."""
        found = self.inner.get((name, words, purpose))
        if found is None:
            path = (*(self.step.path if self.step else ()), _named(name))
            if len(self.inner) >= _REMEMBERED:
                self.inner.clear()
            found = self.inner[name, words, purpose] = Open(Step(path, words, purpose))
        return found


def _named(name: str) -> str:
    """A name that a page has room for."""
    return name if len(name) <= _NAME else f"{name[:_NAME]}-{zlib.crc32(name.encode(errors='replace')):08x}"
