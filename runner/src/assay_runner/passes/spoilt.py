"""A session whose memory is filled with other bits before each run: does anything read what nothing has written?

Between two runs of one engine its memory holds what the run before left there, in a new process mostly zeros: an
engine that reads some of it gives the right outputs here, and others there.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np

from assay_runner.backends import Session
from assay_runner.backends.seams import FILLINGS, Spoiling
from assay_runner.graphs.sample_axes import SampleAxes
from assay_runner.passes.rows import bits_equal
from assay_runner.tensors import Array, Arrays, Batch

AGAIN: Final = 5
"""Runs with each filling, where it is asked whether outputs follow them."""


class Spoilt:
    """A session, spoilt with one filling before each run."""

    def __init__(self, session: Session, filling: int) -> None:
        """Spoil `session`, whose backend offers it."""
        assert isinstance(session, Spoiling), "a backend that names usedMemory has sessions that can be spoilt"
        self._session, self._spoiling, self._filling = session, session, filling

    def run(self, inputs: Arrays) -> dict[str, Array]:
        """Outputs of one batch."""
        self._spoiling.spoil(self._filling)
        return self._session.run(inputs)


def in_turn(session: Session, runs: int) -> Iterator[Spoilt]:
    """The session with one filling after the other, as often as asked and with each at least once."""
    return (Spoilt(session, run) for run in range(max(runs, FILLINGS)))


def follows_memory(session: Session, batch: Batch, output: str, axes: SampleAxes) -> bool:
    """Whether an output is equal wherever memory held equal bits before, and is not where it held others.

    Of an engine that differs from run to run anyhow, the first does not hold. Fillings take turns, back and forth, so
    that an engine that changes its mind once, or every second time, is not taken for one that follows them.
    """
    found: list[list[Array]] = [[] for _ in range(FILLINGS)]
    for turn in range(AGAIN):
        for filling in range(FILLINGS) if turn % 2 == 0 else reversed(range(FILLINGS)):
            array = Spoilt(session, filling).run(batch.inputs)[output]
            found[filling].append(np.array(axes.judged(output, array, batch)))
    steady = all(bits_equal(same[0], other) for same in found for other in same[1:])
    return steady and not all(bits_equal(found[0][0], other[0]) for other in found[1:])
