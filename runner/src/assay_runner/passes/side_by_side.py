"""Tensors looked at side by side, one on each core: what is found of one depends on no other.

NumPy leaves the interpreter to others while it goes through a tensor. So tensors can be looked at while ONNX Runtime
makes the next ones: its threads wait for one another, and what they leave of a core is not lost.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import ExitStack

from assay_runner.cores import cores


class SideBySide:
    """A thread for each core."""

    def __init__(self, stack: ExitStack) -> None:
        """Threads that end with the stack."""
        self._pool = stack.enter_context(ThreadPoolExecutor(cores()))
        self._begun: list[Future[None]] = []

    def each(self, names: Collection[str], work: Callable[[str], None]) -> None:
        """Do the work for each of the names, and wait for it; every core takes the next one that is left."""
        self._submit(names, work, cores())
        self.settle()

    def begin(self, names: Collection[str], work: Callable[[str], None]) -> None:
        """Do it while others go on, once what was begun before is done: no more than that is ever under way.

        On half of the cores: on two, a second thread waits for the interpreter and for memory, and takes from ONNX
        Runtime what it wins.
        """
        self._submit(names, work, max(1, cores() // 2))

    def _submit(self, names: Collection[str], work: Callable[[str], None], threads: int) -> None:
        self.settle()
        left = iter(list(names))  # Of a list's iterator each name comes once, whoever asks.

        def some() -> None:
            for name in left:
                work(name)

        self._begun = [self._pool.submit(some) for _ in range(threads)]

    def settle(self) -> None:
        """Wait for all that was begun, and then raise what went wrong in it."""
        begun, self._begun = self._begun, []
        wait(begun)
        for done in begun:
            done.result()
