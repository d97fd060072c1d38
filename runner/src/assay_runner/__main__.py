"""The `assay` command.

Nothing is imported before requests to stop are listened to and the standard streams are there: loading takes a second,
and a process may be started without any of them.
"""

from __future__ import annotations

import os
import sys
from typing import Final

from assay_runner import interruption
from assay_runner.ending import Ending

WATCHED: Final = ("run", "repair", "task")
"""Commands that compute: what they call may crash."""


def main() -> None:
    """Entry point."""
    ending = Ending()
    interruption.install()
    _streams()
    if sys.argv[1:2] and sys.argv[1] in WATCHED:
        from assay_runner.watcher import watched

        code = watched(_computed)
    else:
        code = _code()
    interruption.uninstall()
    ending.code = code
    raise SystemExit(code)


def _computed() -> int:
    from assay_runner.allocation import keep_freed_memory

    keep_freed_memory()
    return _code()


def _code() -> int:
    try:
        from assay_runner.cli import run_command

        return run_command()
    except BaseException:
        if not interruption.came():
            raise
        return interruption.told()


def _streams() -> None:
    """Open the null device in the place of a stream that was closed before the start.

    Otherwise the next file that is opened takes its number, and what a library prints ends up in that file.
    """
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            # The lowest free number, which is this one.
            os.open(os.devnull, os.O_RDWR)
    sys.stdin = sys.stdin or os.fdopen(0, closefd=False)
    sys.stdout = sys.stdout or os.fdopen(1, "w", closefd=False)
    sys.stderr = sys.stderr or os.fdopen(2, "w", closefd=False)


if __name__ == "__main__":
    main()
