"""Run a program from a process that holds next to nothing, and print what it took.

The kernel counts what its parent held into a program's peak, and whoever computes second opinions holds much.

    python -m tests.real.measured LOG PROGRAM ARGUMENT…
"""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from collections.abc import Collection, Sequence
from pathlib import Path

from tests.bench.programs import ROOT, ProgramFailed, Usage, python, run_program

__all__ = ["measured"]


def measured(argv: Sequence[str], log: Path, allowed: Collection[int]) -> Usage:
    """What the program took, its output in `log`.

    Raises:
        ProgramFailed: it ended with a code that is not allowed.
    """
    words = [*python("tests.real.measured", log, ",".join(map(str, allowed))), *argv]
    done = subprocess.run(words, cwd=ROOT, text=True, capture_output=True, check=False)
    if done.returncode:
        raise ProgramFailed(done.stdout.strip() or done.stderr.strip())
    return Usage(**json.loads(done.stdout))


def main() -> int:
    """Run the program named by the command line."""
    log, allowed, *argv = sys.argv[1:]
    try:
        used = run_program(argv, Path(log), [int(code) for code in allowed.split(",")])
    except ProgramFailed as error:
        print(error)
        return 1
    print(json.dumps(dataclasses.asdict(used)))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
