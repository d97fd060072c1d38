"""How far long work is, told to whoever watches: a person at a terminal, a log, or the operator.

One tracker keeps the numbers; what shows them is a view. A terminal gets a live bar, anything else plain lines, few
enough for a log: one per stage and one every ten seconds.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Final, Protocol, TextIO

from assay_api import result
from assay_api.names import PROGRESS_PATH

INTERVAL: Final = 10.0
_MESSAGE: Final = 200


@dataclass(frozen=True)
class Snapshot:
    """How far the work is.

    Attributes:
        subject: what is worked on, for example a candidate's name.
        stage: stage of it.
        done: units done.
        total: units in all, where known.
        unit: what is counted.
        message: what is happening, in a few words.
    """

    subject: str = ""
    stage: str = ""
    done: int = 0
    total: int | None = None
    unit: str = ""
    message: str = ""

    @property
    def title(self) -> str:
        """Subject and stage."""
        return " ".join(part for part in (self.subject and f"{self.subject}:", self.stage) if part)

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

    def __init__(self, view: View) -> None:
        """Show everything to `view`."""
        self._view = view
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
        with self._lock:
            self._now = Snapshot(self._now.subject, name, 0, total, unit)
            self._view.begin(self._now)

    def advance(self, units: int = 1) -> None:
        """See `Progress`."""
        with self._lock:
            self._now = replace(self._now, done=self._now.done + units)
            self._view.update(self._now)

    def note(self, message: str) -> None:
        """See `Progress`."""
        with self._lock:
            self._now = replace(self._now, message=message[:_MESSAGE])
            self._view.note(self._now)


class PlainView:
    """Plain lines on a stream."""

    def __init__(self, stream: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        """Write to `stream`."""
        self._stream = stream
        self._clock = clock
        self._last = clock()

    def _line(self, text: str) -> None:
        self._last = self._clock()
        print(text, file=self._stream, flush=True)

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
        self._bars.console.print(f"{now.title}: {now.message}", markup=False, highlight=False)

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


@contextmanager
def served(tracker: Tracker, task: str, port: int) -> Iterator[int]:
    """Serve the tracker's numbers read-only at GET /progress on all addresses; yields the port (0 asks for any)."""
    import socket
    from http.server import BaseHTTPRequestHandler
    from socketserver import ThreadingTCPServer

    class Handler(BaseHTTPRequestHandler):
        timeout = 5

        def do_GET(self) -> None:
            known = self.path.split("?")[0] == PROGRESS_PATH
            body = as_progress(tracker.now, task).model_dump_json(by_alias=True).encode() if known else b"not found\n"
            self.send_response(200 if known else 404)
            self.send_header("Content-Type", "application/json" if known else "text/plain")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            """Say nothing: the log belongs to the work."""

    class Server(ThreadingTCPServer):
        # Not http.server's own class: that asks the DNS for this host's name, which may take long.
        address_family = socket.AF_INET6 if socket.has_dualstack_ipv6() else socket.AF_INET
        allow_reuse_address = True
        daemon_threads = True

        def server_bind(self) -> None:
            if self.address_family == socket.AF_INET6:
                self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
            super().server_bind()

    with Server(("", port), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, name="progress", daemon=True)
        thread.start()
        try:
            yield int(server.server_address[1])
        finally:
            server.shutdown()
            thread.join()


def as_progress(now: Snapshot, task: str) -> result.Progress:
    """The contract's form of a snapshot."""
    return result.Progress(
        task=task, stage=now.stage, done=now.done, total=now.total, unit=now.unit, message=now.message
    )
