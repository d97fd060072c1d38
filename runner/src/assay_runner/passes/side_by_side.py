"""Tensors looked at side by side, one on each core: what is found of one depends on no other.

ONNX Runtime has just left the cores idle, and NumPy leaves the interpreter to others while it goes through a tensor.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

from assay_runner.cores import cores


class SideBySide:
    """A thread for each core."""

    def __init__(self, stack: ExitStack) -> None:
        """Threads that end with the stack."""
        self._pool = stack.enter_context(ThreadPoolExecutor(cores()))

    def each(self, names: Collection[str], work: Callable[[str], None]) -> None:
        """Do the work for each of the names; every core takes the next one that is left."""
        left = iter(list(names))  # Of a list's iterator each name comes once, whoever asks.

        def some() -> None:
            for name in left:
                work(name)

        for done in [self._pool.submit(some) for _ in range(cores())]:
            done.result()
