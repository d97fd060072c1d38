"""Progress for people: a terminal gets a live bar, anything else plain lines, few enough for a log.

Plain lines are one per stage and one every ten seconds.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, TextIO

from assay_runner.log_lines import log_line
from assay_runner.progress.tracker import Snapshot, Tracker

INTERVAL: Final = 10.0


class PlainView:
    """Plain lines on a stream."""

    def __init__(self, stream: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        """Write to `stream`."""
        self._stream = stream
        self._clock = clock
        self._last = clock()

    def _line(self, text: str) -> None:
        self._last = self._clock()
        print(log_line(text), file=self._stream, flush=True)

    def begin(self, now: Snapshot) -> None:
        """One line."""
        self._line(f"{now.title}{f' ({now.total} {now.unit})' if now.total is not None else ''}")

    def update(self, now: Snapshot) -> None:
        """A line, where the last one is old."""
        if self._clock() - self._last >= INTERVAL:
            self._line(f"{now.title} {now.amount}")

    def note(self, now: Snapshot) -> None:
        """One line."""
        self._line(f"{now.title}: {now.message}" if now.title else now.message)


class BarView:
    """A live bar on a terminal."""

    def __init__(self, stream: TextIO) -> None:
        """Draw on `stream`."""
        from rich import progress as bars
        from rich.console import Console

        self._bars = bars.Progress(
            bars.SpinnerColumn(),
            bars.TextColumn("{task.description}", markup=False),
            bars.BarColumn(),
            bars.TextColumn("{task.fields[amount]}", markup=False),
            bars.TimeElapsedColumn(),
            console=Console(file=stream),
            transient=True,
        )
        self._bars.start()
        self._bar: bars.TaskID | None = None

    def begin(self, now: Snapshot) -> None:
        """A new bar takes the place of the last."""
        if self._bar is not None:
            self._bars.remove_task(self._bar)
        self._bar = self._bars.add_task(now.title, total=now.total, amount=now.amount)

    def update(self, now: Snapshot) -> None:
        """Move the bar."""
        if self._bar is not None:
            self._bars.update(self._bar, completed=now.done, amount=now.amount)

    def note(self, now: Snapshot) -> None:
        """A line above the bar."""
        self._bars.console.print(
            f"{now.title}: {now.message}" if now.title else now.message, markup=False, highlight=False
        )

    def close(self) -> None:
        """Take the bar away."""
        self._bars.stop()


@contextmanager
def shown_on(stream: TextIO = sys.stderr) -> Iterator[Tracker]:
    """A tracker that shows itself on a stream: a bar where that is a terminal, else plain lines."""
    if not stream.isatty():
        yield Tracker(PlainView(stream))
        return
    view = BarView(stream)
    try:
        yield Tracker(view)
    finally:
        view.close()
