"""Graph inputs that the candidate's precision cannot hold: rounding makes them infinite before any node has run."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx

from assay_runner.backends import Built
from assay_runner.data.rows import by_sample
from assay_runner.evidence import Overflow
from assay_runner.evidence.endings import Ending
from assay_runner.graphs.documents import load_outline
from assay_runner.graphs.endings import Downstream
from assay_runner.graphs.rounding import LARGEST
from assay_runner.graphs.sample_axes import without_padding
from assay_runner.graphs.taps import uses
from assay_runner.tensors import Batch


class OverflowsPass:
    """Counts the samples in which each graph input overflows."""

    def __init__(self, built: Built) -> None:
        """Look at the inputs of an emulated candidate whose precision has a range of its own."""
        self._limit = LARGEST.get(built.precision, float("inf"))
        self._precision = built.precision
        model = load_outline(built.source) if self._limit < float("inf") else onnx.ModelProto()
        self._downstream, users = Downstream(model), uses(model)
        # Who is held wider reads what was fed.
        narrow = {name: tuple(site for site in sites if site.node not in built.wide) for name, sites in users.items()}
        self._users = {name: sites for name, sites in narrow.items() if sites}
        self._found: dict[str, Overflow] = {}

    def add(self, batch: Batch) -> None:
        """Take the inputs of a batch in."""
        for name in [name for name in self._users if name in batch.inputs]:
            axis = batch.axes.get(name, 0)
            array = without_padding(batch.inputs[name], axis, batch)
            if array.dtype.kind != "f" or array.dtype.itemsize < 4 or array.size == 0:
                continue
            largest = float(np.abs(array).max())
            if largest < self._limit:
                continue
            beyond = np.isfinite(array) & (np.abs(array) >= self._limit)
            samples = np.flatnonzero(by_sample(beyond, axis, batch.count))
            if samples.size:
                self._count(name, float(array[beyond][np.argmax(np.abs(array[beyond]))]), samples.size, batch, samples)

    def result(self) -> tuple[Overflow, ...]:
        """What was found."""
        return tuple(self._found.values())

    def _count(self, name: str, value: float, count: int, batch: Batch, samples: np.typing.NDArray[np.intp]) -> None:
        first = batch.start + int(samples[0])
        known = self._found.get(name) or Overflow(
            name, "graph input", self._precision, value, self._users[name], 0, first, self._ending(name, value)
        )
        worst = max(known.value, value, key=abs)
        self._found[name] = replace(known, value=worst, samples=(known.samples or 0) + count)

    def _ending(self, name: str, value: float) -> Ending | None:
        return self._downstream.infinity(name, value < 0)
