"""The same input again, in one session and in a new one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice

import numpy as np

from assay_runner.backends import Backend, Built
from assay_runner.evidence import Difference, Repeats, Site
from assay_runner.passes.rows import bits_equal, judged
from assay_runner.statistics.blocks import Sums
from assay_runner.tensors import Array, Arrays, Batch, Batches, Progress


def repeat(
    backend: Backend,
    built: Built,
    dataset: Batches,
    outputs: Mapping[str, Site],
    runs: int,
    batches: int,
    progress: Progress,
) -> Repeats:
    """Run the first batches `runs` times in one session and once in another, and compare the bits of the outputs."""
    differences: list[Difference] = []
    chosen = list(islice(dataset, batches))
    progress.stage("run to run", len(chosen) * (runs + 1), "runs")
    first: list[Arrays] = []
    with backend.open(built) as session:
        for index, batch in enumerate(chosen):
            reference = _copied(session.run(batch.inputs), batch)
            first.append(reference)
            progress.advance()
            found: Difference | None = None
            for run in range(2, runs + 1):
                again = session.run(batch.inputs)
                found = found or next(_differences(reference, again, batch, outputs, (False, index, run)), None)
                progress.advance()
            differences += [found] if found else []
    with backend.open(built) as session:
        for index, batch in enumerate(chosen):
            again = session.run(batch.inputs)
            differences += islice(_differences(first[index], again, batch, outputs, (True, index, 1)), 1)
            progress.advance()
    return Repeats(len(chosen), runs, tuple(differences), backend.random(built))


def _copied(outputs: Arrays, batch: Batch) -> dict[str, Array]:
    return {name: np.array(judged(array, batch)) for name, array in outputs.items()}


def _differences(
    first: Arrays, again: Arrays, batch: Batch, outputs: Mapping[str, Site], where: tuple[bool, int, int]
) -> Iterator[Difference]:
    """Outputs whose bits differ, in graph order."""
    new_session, index, run = where
    for name in (n for n in outputs if n in first):
        array = judged(again[name], batch)
        if not bits_equal(first[name], array):
            sums = Sums()
            if first[name].shape == array.shape:
                sums.add(first[name], array)
            yield Difference(outputs[name], new_session, index, run, sums.max_abs)
