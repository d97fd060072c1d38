"""The run that shows every tensor, as far as it can be had: what keeps it from being had must lose nothing else.

Another engine, with more among its outputs, may not be built, or not fit into the memory that the served one leaves.
The outputs are judged all the same; what asked for tensors is told why there are none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from assay_runner.errors import InvalidInput, Unavailable
from assay_runner.passes.tapped import TappedPass
from assay_runner.tensors import Arrays, Batch, Batches


class Beside:
    """A tapped pass, or why there is none.

    Attributes:
        found: the pass, as long as nothing broke it.
        reason: one sentence, where it is needed and cannot be had.
    """

    def __init__(self, opened: Callable[[ExitStack], TappedPass] | None, reason: str = "") -> None:
        """Open it; `opened` None: it is not wanted, or, with a reason, cannot be had."""
        self.found: TappedPass | None = None
        self.reason = reason
        self._stack = ExitStack()
        if opened:
            with self._attempt():
                self.found = opened(self._stack)

    def add(self, batch: Batch, plain: Arrays | None) -> None:
        """See `TappedPass.add`."""
        with self._attempt():
            if self.found:
                self.found.add(batch, plain)

    def settle(self, dataset: Batches) -> None:
        """See `TappedPass.settle`."""
        with self._attempt():
            if self.found:
                self.found.settle(dataset)

    def close(self) -> None:
        """Give back what it holds."""
        self._stack.close()

    @contextmanager
    def _attempt(self) -> Iterator[None]:
        try:
            yield
        except (InvalidInput, Unavailable) as error:
            # Figures of a part of the dataset would pass for those of all of it.
            self.found, self.reason = None, str(error)
            self._stack.close()
