"""Run a program in a process of its own and say what it took: wall time and peak memory.

The kernel counts what a process held before `exec` into its peak, and before `exec` it is its parent. The launching
process must therefore stay small: it builds no model and imports no numpy.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.lab import LabError

__all__ = ["ROOT", "ProgramFailed", "Usage", "environment", "python", "run_program"]

ROOT = Path(__file__).resolve().parents[2]


class ProgramFailed(LabError):
    """A measured program did not do its work, so there is nothing to measure; the message has the end of its output."""


@dataclass(frozen=True)
class Usage:
    """What one run took.

    Attributes:
        seconds: wall time from start to exit.
        cpu_seconds: processor time; far from `seconds` times the threads, others needed the processor too.
        peak_mb: largest resident set in MB (10⁶ bytes), of the process or of its largest child.
    """

    seconds: float
    cpu_seconds: float
    peak_mb: float


def python(module: str, *arguments: str | Path | int) -> list[str]:
    """The command line that runs a module with this interpreter, from the root of the repository."""
    return [sys.executable, "-m", module, *map(str, arguments)]


def environment() -> dict[str, str]:
    """The environment of a measured program: one that compiles its modules once, not at every start."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


def run_program(argv: Sequence[str], log: Path, allowed: Collection[int] = (0,)) -> Usage:
    """Run to the end with its output in `log`.

    Raises:
        ProgramFailed: it exited with a code that is not allowed.
    """
    with log.open("wb") as out:
        begin = time.perf_counter()
        process = subprocess.Popen(argv, cwd=ROOT, env=environment(), stdin=subprocess.DEVNULL, stdout=out, stderr=out)
        try:
            _, status, usage = os.wait4(process.pid, 0)
        except BaseException:
            process.kill()
            process.wait()
            raise
        seconds = time.perf_counter() - begin
    # Popen did not see the end: without this it would warn that the process still runs.
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode not in allowed:
        last = "\n".join(log.read_text(errors="replace").splitlines()[-20:])
        raise ProgramFailed(f"{' '.join(argv[:4])} ended with {process.returncode}:\n{last}")
    return Usage(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024 / 1e6)
