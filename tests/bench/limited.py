"""Run a program in a folder, its descendants included, for so long at most."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from tests.bench.programs import ROOT, environment

__all__ = ["ended_within"]

GRACE: Final = 10.0
"""Seconds to end in once asked to."""


def ended_within(argv: Sequence[str], folder: Path, log: Path, seconds: float) -> int | None:
    """Its exit code, or None where it had to be ended; what it writes goes to `log`."""
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH", "")])]
    outside = environment() | {"PYTHONPATH": os.pathsep.join(paths), "PYTHONUNBUFFERED": "1"}
    with log.open("wb") as out:
        process = subprocess.Popen(
            argv, cwd=folder, env=outside, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True
        )
        try:
            return process.wait(max(seconds, 0.1))
        except subprocess.TimeoutExpired:
            return None
        finally:
            _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(GRACE)
