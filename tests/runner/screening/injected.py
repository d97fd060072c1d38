"""`assay screen` on devices that compute wrongly: the command's own words, and faults as `faulty` reads them.

As a program it takes the words that follow `assay screen`. It needs `faulty` beside it and nothing else of the tests,
so that both can be sent into a container whose image has none of them. Nothing that is shipped knows of either.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any, Final

from assay_runner.cli import parser
from assay_runner.cli.screen import screened
from assay_runner.screening.processes import Processes

WORKER: Final = f"{__spec__.parent}.faulty" if __spec__ and __spec__.parent else "faulty"
SEED: Final = 28
"""Deviates three times in 30,000 runs of a first scan with one in 10,000, and soon enough in the second."""
AFTER: Final = 20
"""Runs by when each input was answered once, so that a device that is alone has the right answer to tell it by."""
FAULTS: Final[Mapping[str, Mapping[str, Any]]] = {
    "one bit": {"kind": "bits", "bits": [0]},
    "several bits": {"kind": "bits", "bits": [1, 7, 12], "element": 2, "after": AFTER},
    "every third element": {"kind": "period", "period": 3, "after": AFTER},
    "one run in 10,000": {"kind": "rarely", "one_in": 10_000, "seed": SEED},
}


def main(words: Sequence[str]) -> int:
    """The exit code of the command."""
    arguments = parser().parse_args(["screen", *words])
    scanner = Processes(max(arguments.silence, 1.0), module=WORKER)
    try:
        return screened(arguments, scanner)
    finally:
        scanner.stop()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
