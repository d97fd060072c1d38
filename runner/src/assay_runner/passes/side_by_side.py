"""Tensors looked at side by side, one on each core: what is found of one depends on no other.

NumPy leaves the interpreter to others while it goes through a tensor. So tensors can be looked at while ONNX Runtime
makes the next ones: its threads wait for one another, and what they leave of a core is not lost.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import ExitStack
from typing import Final

from assay_runner.cores import cores

MOST: Final = 4
"""Of what is begun, so many are under way at most: more would hold more tensors in memory."""


class SideBySide:
    """A thread for each core, and one for every other for what is done beside something else."""

    def __init__(self, stack: ExitStack) -> None:
        """Threads that end with the stack."""
        self._all = stack.enter_context(ThreadPoolExecutor(cores()))
        # On two cores a second thread waits for the interpreter and for memory, and takes from ONNX Runtime what it
        # wins.
        self._half = stack.enter_context(ThreadPoolExecutor(max(1, cores() // 2)))
        self._begun: list[list[Future[None]]] = []

    def each(self, names: Collection[str], work: Callable[[str], None]) -> None:
        """Do the work for each of the names, and wait for it; every core takes the next one that is left."""
        self.settle()
        self._submit(self._all, cores(), names, work)
        self.settle()

    def begin(self, names: Collection[str], work: Callable[[str], None]) -> None:
        """Do it while others go on, after what was begun before; where too much of that is left, wait for some of it.

        Names of what is under way must differ: more than one thread may be at it.
        """
        if len(self._begun) >= MOST:
            wait(self._begun[0])
            if any(done.exception() for done in self._begun[0]):
                self.settle()
            del self._begun[0]
        self._submit(self._half, max(1, cores() // 2), names, work)

    def _submit(
        self, pool: ThreadPoolExecutor, threads: int, names: Collection[str], work: Callable[[str], None]
    ) -> None:
        left = iter(list(names))  # Of a list's iterator each name comes once, whoever asks.

        def some() -> None:
            for name in left:
                work(name)

        self._begun.append([pool.submit(some) for _ in range(threads)])

    def settle(self) -> None:
        """Wait for all that was begun, and then raise what went wrong in it."""
        begun, self._begun = [done for each in self._begun for done in each], []
        wait(begun)
        for done in begun:
            done.result()
