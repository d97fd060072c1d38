"""The `assay` command.

Nothing is imported before requests to stop are listened to and the standard streams are there: loading takes a second,
and a process may be started without any of them.
"""

from __future__ import annotations

import sys
from typing import Final

from assay_runner import interruption
from assay_runner.ending import Ending
from assay_runner.streams import open_streams

WATCHED: Final = ("run", "repair", "init", "task", "validate", "plan", "diff", "baseline")
"""Commands that compute, or whose 1 is an answer: a library that they load may end the process with a 1 of its own."""
UNAVAILABLE: Final = 69


def main() -> None:
    """Entry point."""
    ending = Ending()
    interruption.install()
    open_streams()
    try:
        code = _watched_or_not()
    except Exception as error:
        code = _last_resort(error)
    interruption.uninstall()
    ending.code = code
    raise SystemExit(code)


def _watched_or_not() -> int:
    if sys.argv[1:2] and sys.argv[1] in WATCHED:
        from assay_runner.watcher import watched

        return watched(_computed)
    return _code()


def _last_resort(error: BaseException) -> int:
    """What nobody caught, for so little is left to catch it with; Python would end with 1: a candidate that failed."""
    try:
        from assay_runner.cli.failures import complain

        return complain(error)
    except Exception:
        print(f"assay: {type(error).__name__}: {error}; raise the limits of this process (ulimit -a)", file=sys.stderr)
        return UNAVAILABLE


def _computed() -> int:
    from assay_runner.allocation import collect_seldom, keep_freed_memory

    keep_freed_memory()
    collect_seldom()
    return _code()


def _code() -> int:
    try:
        from assay_runner.cli import run_command

        return run_command()
    except BaseException as error:
        if interruption.came():
            return interruption.told()
        # A library in Rust that is not given memory panics, which is no Exception.
        if isinstance(error, (SystemExit, KeyboardInterrupt)):
            raise
        return _last_resort(error)


if __name__ == "__main__":
    main()
