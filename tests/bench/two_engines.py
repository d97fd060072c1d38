"""Two engines of one network timed in turns by the same code, and what precisions their layers tell.

python -m tests.bench.two_engines FOLDER OURS THEIRS
"""

from __future__ import annotations

import json
import re
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any, Final

import numpy as np

from tests.bench.figures import median_ratio
from tests.bench.files import DATA, GOLDEN
from tests.bench.peer_check import worst
from tests.gpu.bare import Bare, check, device_memory

TURNS: Final = 15
RUNS: Final = 20
WARM: Final = 5
FORMATS: Final = {
    "fp32": r"\b(FP32|Float|float)\b", "bf16": r"\b(BF16|BFloat16|Bf16)\b", "fp16": r"\b(FP16|Half)\b"
}  # fmt: skip


@contextmanager
def launched(bare: Bare, given: dict[str, Any]) -> Iterator[Any]:
    """Yields a function that runs the engine RUNS times on one batch: milliseconds of one run, by CUDA events."""
    from cuda.bindings import runtime as cuda

    feeds, host = bare._shaped(given)
    with device_memory({**feeds, **host}) as addresses:
        bare._execute(feeds, host, addresses)
        stream = check(cuda.cudaStreamCreate())
        begin, end = check(cuda.cudaEventCreate()), check(cuda.cudaEventCreate())

        def once() -> float:
            check(cuda.cudaEventRecord(begin, stream))
            for _ in range(RUNS):
                bare.context.execute_async_v3(int(stream))
            check(cuda.cudaEventRecord(end, stream))
            check(cuda.cudaEventSynchronize(end))
            return float(check(cuda.cudaEventElapsedTime(begin, end))) / RUNS

        try:
            yield once
        finally:
            for event in (begin, end):
                check(cuda.cudaEventDestroy(event))
            check(cuda.cudaStreamDestroy(stream))


def precisions(inspected: str) -> dict[str, int]:
    """Layers of an engine by the type of their first output, as its inspector tells it."""
    counts: Counter[str] = Counter()
    for layer in json.loads(inspected).get("Layers", ()):
        outputs = layer.get("Outputs", ()) if isinstance(layer, dict) else ()
        told = str(outputs[0].get("Format/Datatype", "")) if outputs else ""
        counts[next((name for name, words in FORMATS.items() if re.search(words, told)), "other")] += 1
    return dict(counts)


def compared(folder: Path, ours: Path, theirs: Path) -> dict[str, Any]:
    """Medians in ms, the median of the ratios of neighbours, the figure over all samples, and layers by precision."""
    engines = {"ours": Bare(ours), "theirs": Bare(theirs)}
    [data] = sorted((folder / DATA).glob("*.npz"))
    with np.load(data) as arrays, np.load(folder / GOLDEN) as stored:
        samples, golden = dict(arrays), dict(stored)
    found: dict[str, Any] = {"snr": {}, "layers": {}}
    for name, bare in engines.items():
        [given] = bare.of_mode("INPUT")
        batch = bare.engine.get_tensor_shape(given)[0]
        found["snr"][name] = round(worst(golden, bare.over(samples, batch)), 2)
        found["layers"][name] = precisions(bare.inspected())
        first = {given: samples[given][:batch]}
    with launched(engines["ours"], first) as one, launched(engines["theirs"], first) as other:
        for _ in range(WARM):
            one(), other()
        pairs = [(one(), other()) for _ in range(TURNS)]
    found["ms"] = {"ours": median(pair[0] for pair in pairs), "theirs": median(pair[1] for pair in pairs)}
    found["ratio"] = median_ratio([pair[0] for pair in pairs], [pair[1] for pair in pairs])
    return found


def main() -> None:
    """Print them as JSON."""
    folder, ours, theirs = map(Path, sys.argv[1:4])
    print(json.dumps(compared(folder, ours, theirs)))


if __name__ == "__main__":
    main()
