"""What is freed stays with the process: counted by the pages that the kernel has to clear."""

from __future__ import annotations

import subprocess
import sys

import pytest

CLEARED = """
import resource, sys
import numpy as np
from assay_runner.allocation import keep_freed_memory

if sys.argv[1] == "kept":
    keep_freed_memory()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(8):
    tensors = [np.ones(1 << 18) for _ in range(256)]
    del tensors
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""
"""Eight times 256 tensors of 2 MiB: what a part of golden's tensors and the candidate's may take."""
PAGES = 256 * (2 << 20) // 4096


@pytest.mark.skipif(sys.platform != "linux", reason="pages are counted as Linux does")
def test_memory_that_was_freed_is_not_cleared_again() -> None:
    given_back, kept = (
        int(subprocess.run([sys.executable, "-c", CLEARED, how], capture_output=True, check=True).stdout)
        for how in ("given back", "kept")
    )
    assert kept < 2 * PAGES < given_back


FREED = """
from pathlib import Path
import numpy as np
from assay_runner.allocation import give_back, keep_freed_memory

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1])

keep_freed_memory()
before = resident()
tensors = [np.ones(1 << 18) for _ in range(256)]
del tensors
kept = resident() - before
give_back()
print(kept, resident() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="pages are counted as Linux does")
def test_memory_goes_back_once_no_more_tensors_are_shown() -> None:
    run = subprocess.run([sys.executable, "-c", FREED], capture_output=True, check=True, text=True)
    kept, left = map(int, run.stdout.split())
    assert left < PAGES // 8 < kept


OTHERS = """
import resource, sys
from threading import Barrier, Thread
import numpy as np
from assay_runner.allocation import keep_freed_memory

if sys.argv[1] == "kept":
    keep_freed_memory()
turns = [Barrier(2) for _ in range(8)]

def fill(turn):
    turn.wait()
    [np.ones(1 << 15) for _ in range(256)]
    turn.wait()
    turn.wait()

threads = [Thread(target=fill, args=(turn,)) for turn in turns]
for thread in threads:
    thread.start()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for turn in turns:
    turn.wait()
    turn.wait()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
for turn in turns:
    turn.wait()
"""
"""Eight threads, all there at once, make and free 256 tensors of 256 KiB each, one thread after another."""


@pytest.mark.skipif(sys.platform != "linux", reason="pages are counted as Linux does")
def test_what_a_thread_has_freed_is_taken_by_others() -> None:
    """Of two heaps, each of which is filled once."""
    own, shared = (
        int(subprocess.run([sys.executable, "-c", OTHERS, how], capture_output=True, check=True).stdout)
        for how in ("own heaps", "kept")
    )
    assert shared < 3 * PAGES // 8 < own
