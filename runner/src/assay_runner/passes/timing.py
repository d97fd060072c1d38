"""How long a batch takes: device time where a session can tell it, else wall clock around a run."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Final

from assay_runner.backends import Built, Session
from assay_runner.backends.seams import Timed, Weighed
from assay_runner.backends.subject import Subject
from assay_runner.evidence import TimingWanted
from assay_runner.evidence.reruns import Timing
from assay_runner.models.outline import read_outline
from assay_runner.tensors import Batches, Progress

USUAL: Final = (100, 10)
"""Runs that are timed, and runs before, where nobody says how many."""
EMULATED: Final = (10, 1)
"""The same of an emulation: its time says nothing of an engine's, and no limit on it is judged."""


def timed(subject: Subject, dataset: Batches, asked: TimingWanted, progress: Progress) -> Timing:
    """Time the dataset's first batch in a session of its own, after runs that do not count."""
    built = subject.built
    usual = EMULATED if built.emulated else USUAL
    runs = usual[0] if asked.runs is None else asked.runs
    warm_up = usual[1] if asked.warm_up is None else asked.warm_up
    progress.stage("latency", runs, "runs")
    batch = next(iter(dataset))
    with subject.backend.open(built) as session:
        for _ in range(warm_up):
            session.run(batch.inputs)
        if isinstance(session, Timed):
            found = tuple(session.time(batch.inputs, runs))
            progress.advance(runs)
        else:
            taken = []
            for _ in range(runs):
                start = time.perf_counter()
                session.run(batch.inputs)
                taken.append(1000 * (time.perf_counter() - start))
                progress.advance()
            found = tuple(taken)
        return Timing(
            milliseconds=found,
            rows=batch.fed,
            device=isinstance(session, Timed),
            emulated=built.emulated,
            engine=_size(built.path),
            memory=_memory(built, session),
        )


def _memory(built: Built, session: Session) -> int | None:
    """Bytes of device memory: as told when the engine was made, else by the session."""
    if built.engine and built.engine.memory is not None:
        return built.engine.memory
    return session.device_memory if isinstance(session, Weighed) else None


def _size(path: Path) -> int:
    """Bytes of a plan, or of an ONNX model with the files in which its weights lie."""
    size = path.stat().st_size
    if path.suffix != ".onnx":
        return size
    model = read_outline(path)
    places: set[str] = {e.value for t in model.graph.initializer for e in t.external_data if e.key == "location"}
    return size + sum((path.parent / place).stat().st_size for place in places)
