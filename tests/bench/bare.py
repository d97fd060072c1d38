"""The least that anybody would write with ONNX Runtime alone: what the audits are measured against.

python -m tests.bench.bare outputs FOLDER --batch 8     two passes over the data, outputs dropped
python -m tests.bench.bare one FOLDER --batch 4         as many passes as --runs, one session after the other
python -m tests.bench.bare tapped FOLDER --batch 4      two sessions with every tensor as an output, both sets held
"""

from __future__ import annotations

import argparse
import math
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from tests.bench.files import DATA, MODEL

__all__ = ["batches", "one", "outputs", "session", "tapped", "tapped_model", "threads"]


def batches(folder: Path, size: int) -> Iterator[dict[str, NDArray[np.float32]]]:
    """The shards' samples in batches; shards hold whole batches."""
    for shard in sorted((folder / DATA).glob("*.npz")):
        with np.load(shard) as stored:
            arrays = {name: stored[name] for name in stored.files}
        for start in range(0, min(map(len, arrays.values())), size):
            yield {name: array[start : start + size] for name, array in arrays.items()}


def threads(cpu_max: Path = Path("/sys/fs/cgroup/cpu.max")) -> int:
    """As many as the runner takes: a thread per core that this process may use, by its container's quota too."""
    allowed = len(os.sched_getaffinity(0))
    words = cpu_max.read_text().split() if cpu_max.is_file() else ["max"]
    return allowed if words[0] == "max" else max(1, min(allowed, math.ceil(int(words[0]) / int(words[1]))))


def session(model: str | bytes) -> onnxruntime.InferenceSession:
    """A session with the runner's number of threads, and everything else as it comes."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads()
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def outputs(folder: Path, batch: int) -> None:
    """The two runs that an audit of one candidate needs: golden and candidate."""
    for _ in range(2):
        opened = session(str(folder / MODEL))
        for feeds in batches(folder, batch):
            opened.run(None, feeds)


def one(folder: Path, batch: int, runs: int) -> None:
    """So many runs, each in a session of its own, which is closed before the next is opened."""
    for _ in range(runs):
        opened = session(str(folder / MODEL))
        for feeds in batches(folder, batch):
            opened.run(None, feeds)
        del opened


def tapped_model(path: Path) -> bytes:
    """The model with every tensor that a node makes as an output."""
    import onnx

    model = onnx.load(path)
    taken = {output.name for output in model.graph.output}
    for node in model.graph.node:
        model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in node.output if name not in taken)
    serialised: bytes = model.SerializeToString()
    return serialised


def tapped(folder: Path, batch: int) -> None:
    """Two sessions that give all tensors of a batch, as needed to compare them; nothing is compared."""
    model = tapped_model(folder / MODEL)
    first, second = session(model), session(model)
    del model
    for feeds in batches(folder, batch):
        held = first.run(None, feeds), second.run(None, feeds)
        # Dropped before the next batch, or the peak would count three sets.
        del held


def main() -> None:
    """Run one of the bare programs."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("program", choices=("outputs", "one", "tapped"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--batch", type=int, required=True)
    parser.add_argument("--runs", type=int, default=1)
    asked = parser.parse_args()
    if asked.program == "one":
        one(asked.folder, asked.batch, asked.runs)
    else:
        (outputs if asked.program == "outputs" else tapped)(asked.folder, asked.batch)


if __name__ == "__main__":
    main()
