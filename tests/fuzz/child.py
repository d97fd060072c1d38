"""A batch of cases in a process of its own: `python -m tests.fuzz.child KIND SEED COUNT FOLDER`.

One line of JSON per case on standard output when it begins and one when it has ended. The case itself lies in
FOLDER/current.tar.xz meanwhile: whoever watches finds there what this process died of, or hangs in.
"""

from __future__ import annotations

import json
import os
import resource
import sys
from pathlib import Path
from typing import Final

from hypothesis import HealthCheck, Phase, given, seed, settings

from tests.fuzz.case import Case

CURRENT: Final = "current.tar.xz"
ADDRESS_SPACE: Final = 8 << 30
FILE_SIZE: Final = 2 << 30


def batch(kind: str, number: int, count: int, folder: Path) -> None:
    """Run so many cases of a kind, the same for the same number."""
    from tests.fuzz.judged import judged
    from tests.fuzz.kinds import KINDS
    from tests.fuzz.rigged import RIGGED

    told = os.fdopen(os.dup(1), "w", buffering=1)
    # What libraries print is nobody's.
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    os.dup2(1, 2)
    made = 0

    def one(case: Case) -> None:
        nonlocal made
        made += 1
        (folder / CURRENT).write_bytes(case.packed())
        print(json.dumps({"begun": made}), file=told)
        ended = judged(case, folder / f"{made}")
        print(
            json.dumps(
                {"ended": made, "code": ended.code, "wrong": ended.wrong, "said": ended.said, "seconds": ended.seconds}
            ),
            file=told,
        )

    strategy = RIGGED[kind] if kind in RIGGED else KINDS[kind][0]
    asked = settings(
        max_examples=count,
        database=None,
        phases=[Phase.generate],
        deadline=None,
        suppress_health_check=list(HealthCheck),
        derandomize=False,
    )
    seed(number)(asked(given(strategy)(one)))()
    print(json.dumps({"over": made}), file=told)


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, ADDRESS_SPACE))
    resource.setrlimit(resource.RLIMIT_FSIZE, (FILE_SIZE, FILE_SIZE))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    batch(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4]))
