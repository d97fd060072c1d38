"""A session whose memory is filled with other bits before each run: does anything read what nothing has written?

Between two runs of one engine its memory holds what the run before left there, in a new process mostly zeros: an
engine that reads some of it gives the right outputs here, and others there.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from assay_runner.backends import Session
from assay_runner.backends.seams import Spoiling
from assay_runner.passes.rows import bits_equal, judged
from assay_runner.tensors import Array, Arrays, Batch

FILLINGS: Final = 4
"""Different fillings that are tried."""
AGAIN: Final = 3
"""Runs with each of them, where it is asked whether outputs follow them."""


class Spoilt:
    """A session, spoilt before each run by the next filling, or always by the same."""

    def __init__(self, session: Session, always: int | None = None) -> None:
        """Spoil `session`, whose backend offers it."""
        assert isinstance(session, Spoiling), "a backend that names usedMemory has sessions that can be spoilt"
        self._session, self._spoiling, self._always, self._runs = session, session, always, 0

    def run(self, inputs: Arrays) -> dict[str, Array]:
        """Outputs of one batch."""
        self._spoiling.spoil(self._runs % FILLINGS if self._always is None else self._always)
        self._runs += 1
        return self._session.run(inputs)


def follows_memory(session: Session, batch: Batch) -> bool:
    """Whether outputs are equal wherever memory held equal bits before, and are not where it held others.

    Of an engine that differs from run to run anyhow, the first does not hold.
    """
    outputs = [[_outputs(Spoilt(session, filling), batch) for _ in range(AGAIN)] for filling in range(FILLINGS)]
    steady = all(_equal(same[0], other) for same in outputs for other in same[1:])
    return steady and not all(_equal(outputs[0][0], other[0]) for other in outputs[1:])


def _outputs(session: Session, batch: Batch) -> dict[str, Array]:
    return {name: np.array(judged(array, batch)) for name, array in session.run(batch.inputs).items()}


def _equal(left: Arrays, right: Arrays) -> bool:
    return all(bits_equal(left[name], right[name]) for name in left)
