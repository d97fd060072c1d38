"""Requests to stop: Ctrl-C, SIGTERM and a closed terminal end a run alike, with one sentence and nothing left behind.

Each becomes a KeyboardInterrupt, which unwinds whatever runs and takes its scratch files with it. Inside an import, an
extension module may turn that into an error of its own; so it is remembered that a request came, and whatever is
raised after it counts as the request. Where the interpreter has its own locks of imports at hand, the request waits:
raised there, it could leave one taken, for which a thread that imports waits for ever. That takes some milliseconds, or
some seconds at most where a module is waited for that another thread loads. Where Python throws away what is raised, as
in a `__del__`, it is raised again.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Final

_WORDS: Final = {
    signal.SIGINT: "interrupted",
    signal.SIGTERM: "terminated",
    signal.SIGHUP: "hung up",
}
_IMPORTS: Final = "<frozen importlib"
_AGAIN_SECONDS: Final = 0.01
_IMPORT_SECONDS: Final = 5.0
"""So long a request waits for the interpreter's locks: it is another thread's import that takes longer."""
_CAN_WAIT: Final = hasattr(signal, "setitimer")
_PR_SET_PDEATHSIG: Final = 1
_BASE: Final = 128
"""A process that a signal ended has, to its shell, the exit code 128 + the signal's number."""


class _Requests:
    """Which request came first, and whether it must wait."""

    def __init__(self) -> None:
        self.first: signal.Signals | None = None
        self.held = False
        self.before = sys.unraisablehook
        self._waits_since: float | None = None

    def __call__(self, number: int, frame: FrameType | None) -> None:
        self.first = self.first or signal.Signals(number)
        if not self.held:
            self._interrupt(frame)

    def again(self, _: int, frame: FrameType | None) -> None:
        """One that had to wait; what holds it since then is waited for too."""
        if self._waits_since is None:
            return  # Another one came meanwhile, and was raised.
        if self.held:
            self._wait(time.monotonic())
        else:
            self._interrupt(frame)

    def thrown_away(self, found: sys.UnraisableHookArgs) -> None:
        """What Python cannot raise where it is now; a request is raised a little later."""
        if self.first and issubclass(found.exc_type, KeyboardInterrupt):
            self._wait(time.monotonic())
        else:
            self.before(found)

    def answered(self) -> None:
        """Nothing waits any more: one request interrupts once."""
        self._waits_since = None
        if _CAN_WAIT:
            signal.setitimer(signal.ITIMER_REAL, 0)

    def _interrupt(self, frame: FrameType | None) -> None:
        now = time.monotonic()
        since = now if self._waits_since is None else self._waits_since
        importing = frame is not None and frame.f_code.co_filename.startswith(_IMPORTS)
        if importing and _CAN_WAIT and now - since < _IMPORT_SECONDS:
            self._wait(since)
        else:
            self.answered()
            raise KeyboardInterrupt

    def _wait(self, since: float) -> None:
        self._waits_since = since
        signal.setitimer(signal.ITIMER_REAL, _AGAIN_SECONDS)


_REQUESTS: Final = _Requests()


def install() -> None:
    """Listen to every request that this process was not told to ignore (nohup, a shell's background job)."""
    for number in _WORDS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _REQUESTS)
    if _CAN_WAIT:
        signal.signal(signal.SIGALRM, _REQUESTS.again)
        if sys.unraisablehook != _REQUESTS.thrown_away:
            _REQUESTS.before, sys.unraisablehook = sys.unraisablehook, _REQUESTS.thrown_away


def uninstall() -> None:
    """From here on no request is heard: everything is said and stored, and the exit code must tell it."""
    for number in _WORDS:
        if signal.getsignal(number) is _REQUESTS:
            signal.signal(number, signal.SIG_IGN)
    if _CAN_WAIT and signal.getsignal(signal.SIGALRM) == _REQUESTS.again:
        signal.signal(signal.SIGALRM, signal.SIG_IGN)
    if sys.unraisablehook == _REQUESTS.thrown_away:
        sys.unraisablehook = _REQUESTS.before


def came() -> bool:
    """Whether anybody asked this process to stop."""
    return _REQUESTS.first is not None


@contextmanager
def deferred() -> Iterator[None]:
    """While the block runs, a request is remembered and interrupts nothing: for removing what must not stay."""
    before, _REQUESTS.held = _REQUESTS.held, True
    try:
        yield
    finally:
        _REQUESTS.held = before


@contextmanager
def postponed() -> Iterator[None]:
    """While the block runs, a request interrupts nothing: what is inside asks `came` and ends early; then it does.

    For a library that calls back into Python and takes an exception there for an error to print.

    Raises:
        KeyboardInterrupt: a request came meanwhile.
    """
    with deferred():
        yield
    if came() and not _REQUESTS.held:
        _REQUESTS.answered()
        raise KeyboardInterrupt


def die_with(parent: int) -> bool:
    """Have the kernel end this process when `parent`, which made it, ends; whether that is still there."""
    import ctypes

    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    return os.getppid() == parent


def told() -> int:
    """Say on standard error what ended the process; returns its exit code."""
    _REQUESTS.answered()
    number = _REQUESTS.first or signal.SIGINT
    print(f"assay: {_WORDS[number]}", file=sys.stderr, flush=True)
    return _BASE + int(number)
