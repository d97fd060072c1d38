"""How far long work is: one tracker keeps the numbers, what shows them is a view."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Final, NamedTuple, Protocol

from assay_runner import journal

_MESSAGE: Final = 200
# A pause and an attempt that ends in silence take less.
_WAITS_SECONDS: Final = 90.0


class Snapshot(NamedTuple):
    """How far the work is.

    Attributes:
        subject: what is worked on, for example a candidate's name.
        stage: stage of it.
        done: units done.
        total: units in all, where known.
        unit: what is counted.
        message: what is happening, in a few words.
        waits_until: until when, on the monotonic clock, the storage counts as not answering.
    """

    subject: str = ""
    stage: str = ""
    done: int = 0
    total: int | None = None
    unit: str = ""
    message: str = ""
    waits_until: float = 0.0

    @property
    def title(self) -> str:
        """Subject and stage."""
        return ": ".join(filter(None, (self.subject, self.stage)))

    @property
    def amount(self) -> str:
        """Units done of all, or nothing."""
        if not self.done and self.total is None:
            return ""
        return f"{self.done}{'' if self.total is None else f'/{self.total}'} {self.unit}".rstrip()


class View(Protocol):
    """Shows a snapshot to someone."""

    def begin(self, now: Snapshot) -> None:
        """A stage began."""
        ...

    def update(self, now: Snapshot) -> None:
        """Units were done."""
        ...

    def note(self, now: Snapshot) -> None:
        """There is a message."""
        ...


class Tracker:
    """Keeps the numbers (`assay_runner.tensors.Progress`) and shows them; may be used from several threads."""

    def __init__(self, view: View, clock: Callable[[], float] = time.monotonic) -> None:
        """Show everything to `view`."""
        self._view, self._clock = view, clock
        self._now = Snapshot()
        self._lock = threading.Lock()

    @property
    def now(self) -> Snapshot:
        """How far the work is."""
        return self._now

    def subject(self, name: str) -> None:
        """Work on something else begins."""
        with self._lock:
            self._now = Snapshot(subject=name)

    def stage(self, name: str, total: int | None = None, unit: str = "") -> None:
        """See `Progress`."""
        journal.alive()
        with self._lock:
            self._now = Snapshot(self._now.subject, name, 0, total, unit)
            self._view.begin(self._now)

    def advance(self, units: int = 1) -> None:
        """See `Progress`."""
        journal.alive()
        with self._lock:
            self._now = self._now._replace(done=self._now.done + units, waits_until=0.0)
            self._view.update(self._now)

    def note(self, message: str) -> None:
        """See `Progress`."""
        journal.alive()
        with self._lock:
            self._now = self._now._replace(message=message[:_MESSAGE], waits_until=0.0)
            self._view.note(self._now)

    def waits(self, message: str) -> None:
        """The storage does not answer and is tried again, in a few words; nobody says when it answers again."""
        journal.alive()
        with self._lock:
            self._now = self._now._replace(message=message[:_MESSAGE], waits_until=self._clock() + _WAITS_SECONDS)
            self._view.note(self._now)

    @property
    def waiting(self) -> bool:
        """Whether the storage was said not to answer within the time that one more try takes."""
        return self._clock() < self._now.waits_until
