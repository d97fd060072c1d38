"""How long a batch takes: device time where a session can tell it, else wall clock around a run."""

from __future__ import annotations

import time
from pathlib import Path

from assay_runner.backends import Backend, Built, Session
from assay_runner.backends.seams import Timed, Weighed
from assay_runner.behaviour_evidence import Timing
from assay_runner.outlines import read_outline
from assay_runner.tensors import Batches, Progress


def timed(backend: Backend, built: Built, dataset: Batches, runs: int, warm_up: int, progress: Progress) -> Timing:
    """Time the dataset's first batch `runs` times in a session of its own, after `warm_up` runs that do not count."""
    progress.stage("latency", runs, "runs")
    batch = next(iter(dataset))
    with backend.open(built) as session:
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
