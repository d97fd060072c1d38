"""What TensorRT says while somebody listens: a long process builds many engines, and old words must not pile up."""

from __future__ import annotations

from threading import Lock
from typing import Final
from weakref import WeakSet

WARNING: Final = 2
"""Its severity; smaller is more severe."""


class Mark:
    """A moment. While it is held, whatever was said since is kept."""

    def __init__(self, number: int) -> None:
        """`number` things had been said by then."""
        self.number = number


class Sayings:
    """Warnings and errors since the oldest mark that is held; what was said before is forgotten."""

    def __init__(self) -> None:
        """Nothing was said yet."""
        self._lines: list[tuple[int, str]] = []
        self._forgotten = 0
        self._marks: WeakSet[Mark] = WeakSet()
        self._lock = Lock()

    def __len__(self) -> int:
        """How much is kept."""
        return len(self._lines)

    def say(self, severity: int, text: str) -> None:
        """Keep a line, if it is a warning or an error."""
        if severity <= WARNING:
            self._lines.append((severity, " ".join(text.split())))

    def mark(self) -> Mark:
        """Now."""
        with self._lock:
            made = Mark(self._forgotten + len(self._lines))
            self._marks.add(made)
            old = min(mark.number for mark in self._marks) - self._forgotten
            del self._lines[:old]
            self._forgotten += old
            return made

    def since(self, mark: Mark) -> tuple[str, ...]:
        """What was said since, each once, errors first."""
        lines = sorted(self._lines[mark.number - self._forgotten :], key=lambda line: line[0])
        return tuple(dict.fromkeys(text for _, text in lines))

    def replace(self, mark: Mark, text: str) -> None:
        """Put one warning in the place of all that was said since."""
        self._lines[mark.number - self._forgotten :] = [(WARNING, text)]
