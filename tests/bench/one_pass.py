"""Statistics of tensors against one plain read of the same bytes, on one core: `python -m tests.bench.one_pass FILE`.

Writes processor seconds of either, the least of several turns: `layerDrift` looks so at every tensor, golden's beside
the candidate's, and no statistics can take less than reading both once.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from assay_runner.passes.counts import Counts
from assay_runner.tensors import Batch

__all__ = ["main"]

TURNS = 9
ELEMENTS = 1 << 24
"""Of a tensor: 64 MiB, more than any cache of a core."""


def main() -> None:
    """Measure, and write it."""
    golden = np.random.default_rng(0).standard_normal((1, ELEMENTS), np.float32)
    candidate = golden.astype(np.float16).astype(np.float32)
    batch = Batch(0, 1, {"x": golden})
    taken = {
        "statistics": _least(lambda: Counts().add(candidate, batch, golden, 0)),
        # A minimum is the cheapest of NumPy's that reads every element.
        "read": _least(lambda: (golden.min(), candidate.min())),
    }
    Path(sys.argv[1]).write_text(json.dumps({**taken, "bytes": golden.nbytes + candidate.nbytes}))


def _least(work: Callable[[], object]) -> float:
    """Processor seconds of the fastest turn: others on the machine slow a turn down, and nothing speeds one up."""
    found = []
    for _ in range(TURNS):
        start = time.thread_time()
        work()
        found.append(time.thread_time() - start)
    return min(found)


if __name__ == "__main__":
    main()
