"""Watches the process that does the work, and has it done again without the step that killed one.

`assay run`, `assay task` and others fork before anything heavy is loaded: the child works as if it were alone, and what
stays behind is a process of a few megabytes that waits. Where nothing dies that costs one fork. A crash, the lack of
memory and what never ends reach the child only: what it was doing stands in the `journal`.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

from assay_runner import interruption, journal
from assay_runner.capacity import limits_set
from assay_runner.journal import Journal, Seen, Step

MOST_IN_PASS: Final = 8
"""Deaths inside one pass after which all of it is passed over."""
MOST_IN_TASK: Final = 16
"""Deaths inside one task after which all of it is passed over."""
UNLOADING_SECONDS: Final = 60.0
"""How long a process may take to end once all its work is done."""
_LOOK_SECONDS: Final = 1.0
_ASLEEP_SECONDS: Final = 10.0
_STOPS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_BY_KERNEL: Final = 0x80
_UNAVAILABLE: Final = 69


def watched(work: Callable[[], int]) -> int:
    """The exit code of `work`, which is done in a child process: in this one where there is no fork."""
    if not hasattr(os, "fork") or not hasattr(signal, "sigtimedwait"):
        return work()
    stops = {number for number in _STOPS if signal.getsignal(number) is not signal.SIG_IGN}
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    before = signal.pthread_sigmask(signal.SIG_BLOCK, stops | {signal.SIGCHLD})
    book, blame, again = Journal(), Blame(), False
    while True:
        parent = os.getpid()
        child = os.fork()
        if not child:
            if not interruption.die_with(parent):
                _leave(_UNAVAILABLE)
            journal.use(book, blame.passed, again)
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
            return _done(work)
        status, stalled, stopped = _wait(child, book, stops)
        seen = book.read()
        if seen.code is not None:
            _leave(seen.code)
        if stopped or (os.WIFEXITED(status) and not seen.steps):
            _clear(seen)
            _leave(_code_of(status))
        told = blame.of(seen, _ended(status, seen.patience if stalled else None))
        if told is None:
            _clear(seen)
            name = _name(os.WTERMSIG(status))
            print(f"assay: ended by {name} before anything was begun", file=sys.stderr, flush=True)
            _leave(_UNAVAILABLE)
        print(f"assay: {told}; going on without it", file=sys.stderr, flush=True)
        again = True


class Blame:
    """Which steps are passed over, and why.

    Attributes:
        passed: a sentence by the path of each.
    """

    def __init__(self) -> None:
        """Nothing is to blame yet."""
        self.passed: dict[tuple[str, ...], str] = {}
        self._deaths: Counter[tuple[str, ...]] = Counter()

    def of(self, seen: Seen, ended: str) -> str | None:
        """The sentence about the step that is passed over from now on; None where no step was open."""
        found = self._step(seen.steps)
        if found is None:
            return None
        for depth in range(1, len(found.path) + 1):
            self._deaths[found.path[:depth]] += 1
        for outer in seen.steps:
            most = {1: MOST_IN_TASK, 2: MOST_IN_PASS}.get(len(outer.path))
            if most and self._deaths[outer.path] >= most and outer.path == found.path[: len(outer.path)]:
                found = outer
                break
        self.passed[found.path] = f"{found.words} {ended}"
        return self.passed[found.path]

    def _step(self, steps: tuple[Step, ...]) -> Step | None:
        """The last that was entered: what is done beside the others first, then the innermost."""
        return next((step for step in reversed(steps) if step.path not in self.passed), None)


def _wait(child: int, book: Journal, stops: set[signal.Signals]) -> tuple[int, bool, bool]:
    """Wait for the child, handing on requests to stop; its status, whether it never ended, and was asked to stop."""
    stalled = stopped = False
    since = looked = time.monotonic()
    while True:
        with suppress(InterruptedError):
            came = signal.sigtimedwait(stops | {signal.SIGCHLD}, _LOOK_SECONDS)
            if came and came.si_signo in stops:
                stopped = True
                # A terminal has told the child too, which is of the same group.
                if came.si_code != _BY_KERNEL:
                    _send(child, came.si_signo)
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return status, stalled, stopped
        seen, now = book.read(), time.monotonic()
        if now - looked > _ASLEEP_SECONDS:
            since = now  # Both were stopped, as by Ctrl-Z: the child could show no sign.
        looked = now
        silent = now - max(seen.beat, since)
        if (seen.steps and silent > seen.patience) or (seen.code is not None and silent > UNLOADING_SECONDS):
            stalled = True
            _send(child, signal.SIGKILL)


def _code_of(status: int) -> int:
    """The exit code of a child that wrote none down: whatever a library ended it with, no answer of ours."""
    if os.WIFSIGNALED(status):
        return 128 + os.WTERMSIG(status)
    code = os.WEXITSTATUS(status)
    if code == _UNAVAILABLE:
        return code
    print(f"assay: a library ended the process with status {code}: give it more memory (ulimit -v)", file=sys.stderr)
    return _UNAVAILABLE


def _ended(status: int, patience: float | None) -> str:
    """How a process ended, as the end of a sentence."""
    if patience is not None:
        return f"gave no sign of life for {patience:g} s and was ended (spec.stallDeadlineSeconds)"
    if not os.WIFSIGNALED(status):
        return f"ended the process with status {os.WEXITSTATUS(status)}"
    if os.WTERMSIG(status) == signal.SIGKILL:
        return (
            "was ended by SIGKILL, as where memory runs out: give it more (spec.target.resources), or a smaller "
            "dataset.batch"
        )
    if os.WTERMSIG(status) == signal.SIGBUS:
        return (
            "was ended by SIGBUS, as where a file that is read was cut short meanwhile: leave the files of model and "
            "data alone, and run the audit again"
        )
    # Of what a library does where an allocation fails nothing is said: this process's own limits are all that is known.
    found = " or ".join(f"{limit >> 20} MiB (ulimit {option})" for option, limit in limits_set().items())
    short = f", as where {found} of memory are not enough: raise the limit" if found else ""
    return f"ended the process by {_name(os.WTERMSIG(status))}, a crash in a library's own code{short}"


def _name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _done(work: Callable[[], int]) -> int:
    """The exit code of the work, written down: how the process ends after that tells nothing of it."""
    try:
        code = work()
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    journal.over(code)
    return code


def _clear(seen: Seen) -> None:
    if seen.scratch:
        from assay_runner.stores.claims import remove_folder

        remove_folder(Path(seen.scratch))


def _leave(code: int) -> None:
    """End at once: what is to be done at exit was done by the child."""
    os._exit(code)


def _send(child: int, number: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(child, number)
