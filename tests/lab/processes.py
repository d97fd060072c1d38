"""Child processes that end when they should.

A server left behind by a test is worse than a failing test. So every server is one `Server`: it logs to a file, dies
with its parent, is stopped by its own pid, and when it fails, the end of its log is in the error.
"""

from __future__ import annotations

import fcntl
import os
import random
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from itertools import chain
from pathlib import Path
from typing import IO, Final

from tests.lab import LabError

__all__ = ["PATIENCE", "Server", "free_port", "on_overlay", "run", "tail", "wait_until"]


PATIENCE: Final = 90.0
"""Seconds that a test waits for what takes a second: a busy machine is no defect."""
LOWEST_PORT, HIGHEST_PORT = 10_000, 32_767
KERNEL_PORTS: Final = Path("/proc/sys/net/ipv4/ip_local_port_range")


def free_port() -> int:
    """Return a TCP port that is free on the loopback address, and is this process's own until it ends.

    A server listens seconds after it was told where, and may be stopped and started again at the same port. So it is
    none that the kernel gives to whoever asks for any (`KERNEL_PORTS`), and none that another test run was given:
    each locks the bytes of a file by the numbers of its ports.
    """
    for port in _ports():
        try:
            fcntl.lockf(_claimed(), fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
            with socket.socket() as probe:
                probe.bind(("", port))
        except OSError:
            continue
        return port
    raise LabError(f"no port is free from {LOWEST_PORT} on, below those of {KERNEL_PORTS}")


@cache
def _ports() -> Iterator[int]:
    """Those to be tried, each once, beginning anywhere: two runs that begin together need not try the same."""
    end = int(KERNEL_PORTS.read_text().split()[0])
    # Where the kernel gives out nearly all of them, there are no others.
    end = end if end > LOWEST_PORT + 1_000 else HIGHEST_PORT
    begin = random.SystemRandom().randrange(LOWEST_PORT, end)
    return chain(range(begin, end), range(LOWEST_PORT, begin))


@cache
def _claimed() -> IO[bytes]:
    """The file that is locked: one for all runs, and open until this process ends, as its locks are held."""
    return Path(f"/tmp/assay-ports-{os.getuid()}").open("ab")


def tail(log: Path, lines: int = 20) -> str:
    """Return the last lines of a log, or a word that there is none."""
    text = log.read_text(errors="replace") if log.exists() else ""
    return "\n".join(text.splitlines()[-lines:]) or "(empty)"


def wait_until(ready: Callable[[], bool], what: str, seconds: float = PATIENCE, every: float = 0.1) -> None:
    """Ask `ready` until it says yes; `LabError` naming `what` when it has not within `seconds`."""
    end = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > end:
            raise LabError(f"{what}: not so after {seconds:.0f} s")
        time.sleep(every)


def run(argv: Sequence[str | Path], *, env: Mapping[str, str] | None = None, stdin: str | None = None) -> str:
    """Run a command to its end and return its standard output; `LabError` with its last lines when it fails."""
    done = subprocess.run(
        [str(a) for a in argv], env=env, input=stdin, stdin=None if stdin is not None else subprocess.DEVNULL,
        text=True, capture_output=True, check=False,
    )  # fmt: skip
    if done.returncode:
        last = "\n".join((done.stdout + done.stderr).splitlines()[-20:])
        raise LabError(f"{' '.join(map(str, argv[:6]))} ended with {done.returncode}:\n{last}")
    return done.stdout


def on_overlay(folder: Path) -> bool:
    """Tell whether a folder lies on an overlay, on which no other overlay can be mounted."""
    return run(["stat", "--file-system", "--format=%T", folder]).strip() == "overlayfs"


class Server:
    """One running server process, logging to `log`.

    To the kernel, the parent is the thread that started it: start it from one that lives as long as it is needed.
    """

    def __init__(self, argv: Sequence[str | Path], log: Path, env: Mapping[str, str] | None = None) -> None:
        self.name, self.log = Path(argv[0]).name, log
        # The kernel ends the server should this process be killed before it can stop it.
        lifeline = ["setpriv", "--pdeathsig", "KILL"] if shutil.which("setpriv") else []
        with log.open("ab") as out:
            self.process = subprocess.Popen(
                [*lifeline, *map(str, argv)], env=env, stdin=subprocess.DEVNULL, stdout=out, stderr=out
            )

    @property
    def pid(self) -> int:
        """The process id, as seen by this process."""
        return self.process.pid

    def wait_ready(self, ready: Callable[[], bool], seconds: float = PATIENCE) -> None:
        """Wait until `ready`; `LabError` with the end of the log when the server dies first or takes too long."""

        def alive_and_ready() -> bool:
            if self.process.poll() is not None:
                raise LabError(f"{self.name} ended with {self.process.returncode} before it was ready")
            return ready()

        try:
            wait_until(alive_and_ready, f"{self.name} ready", seconds)
        except LabError as error:
            raise LabError(f"{error}; the end of {self.log}:\n{tail(self.log)}") from None

    def stop(self, grace: float = 5) -> None:
        """Ask the server to end, then end it; returns once it is gone. Stopping twice is harmless."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(grace)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
