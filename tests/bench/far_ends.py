"""Audits of a model of 2.4 GB, of one of 6,000 nodes, and of 100,000 samples, against bare ONNX Runtime."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, Final

from tests.bench.audits import LAYERS, audit, run_audit
from tests.bench.figures import Figure, median_ratio, say
from tests.bench.programs import Usage, python, run_program
from tests.bench.turns import bare, in_turns, peak, seconds

__all__ = ["FULL", "QUICK", "FarEnds", "deep", "large", "many"]

OUTPUTS: Final[Mapping[str, Any]] = {"outputDrift": {}}
BATCH: Final = 4
DEEP_BATCH: Final = 32
MANY_BATCH: Final = 64
RUNS: Final = 4
"""Bare runs that three candidates need: golden's, and one of each."""
LOOK: Final = 0.05
"""Seconds between two looks at the disk."""


@dataclass(frozen=True)
class FarEnds:
    """How far they are.

    Attributes:
        width: of the large model: 36 × width² weights.
        nodes: of the deep model.
        samples: of the many.
        few: samples of the audit that they are compared with, for what is left is what starting takes.
    """

    width: int = 4096
    nodes: int = 6000
    samples: int = 100_000
    few: int = 500


FULL: Final = FarEnds()
QUICK: Final = FarEnds(width=512, nodes=200, samples=2_000)


def large(size: FarEnds, repeats: int) -> Iterator[Figure]:
    """FP32, FP16 and INT8 of a model with external data: outputs alone, and every tensor."""
    say(f"a model of {36 * size.width**2 * 4 / 1e9:.2f} GB in external data, three candidates, 8 samples")
    with _made("large", size.width, 8) as folder:
        model = sum(file.stat().st_size for file in folder.glob("model*")) / 1e6
        candidates = [_candidate(kind) for kind in ("fp32", "fp16")]
        candidates.append({**_candidate("int8"), "calibration": {"uri": "file://./data/", "method": "minmax"}})
        disk: dict[str, list[float]] = {}
        programs = {
            kind: _watched(folder, _spec(BATCH, check, candidates), disk.setdefault(kind, []))
            for kind, check in (("outputs", OUTPUTS), ("layers", LAYERS))
        }
        words = python("tests.bench.bare", "one", folder, "--batch", BATCH, "--runs", RUNS)
        taken = in_turns({"bare": lambda: run_program(words, folder / "bare.log"), **programs}, repeats)
    for kind in ("wall", "cpu"):
        ratio = median_ratio(_time(kind, taken["outputs"]), _time(kind, taken["bare"]))
        yield Figure(f"runner_large_outputs_{kind}_vs_bare", ratio, 2.5)
    yield Figure("runner_large_outputs_scratch_vs_model", median(disk["outputs"]) / model, 1.2)
    for kind, goal in (("outputs", 1.2), ("layers", 2.0)):
        yield Figure(f"runner_large_{kind}_memory_vs_bare", peak(taken[kind]) / peak(taken["bare"]), goal)


def deep(size: FarEnds, repeats: int) -> Iterator[Figure]:
    """FP32 and FP16 of a chain of nodes, every tensor."""
    say(f"a chain of {size.nodes} nodes, two candidates, 32 samples")
    with _made("deep", size.nodes, 32) as folder:
        candidates = [_candidate(kind) for kind in ("fp32", "fp16")]
        spec = _spec(DEEP_BATCH, LAYERS, candidates)
        taken = in_turns({"layers": lambda: run_audit(folder, spec)}, repeats)
    yield Figure("runner_deep_layers_seconds", median(seconds(taken["layers"])), 6, unit="s")


def many(size: FarEnds, repeats: int) -> Iterator[Figure]:
    """A perceptron on samples that cost nothing, in shards of 500: samples a second beyond what starting takes."""
    say(f"{size.samples} samples of a perceptron, in shards of 500")
    with _made("many", 500, size.samples) as folder, _made("many", 500, size.few) as start:
        spec = audit(MANY_BATCH, OUTPUTS)
        programs = {
            "many": lambda: run_audit(folder, spec),
            "few": lambda: run_audit(start, spec),
            "bare": bare("outputs", folder, MANY_BATCH),
        }
        taken = in_turns(programs, repeats)
    more = size.samples - size.few
    for kind in ("wall", "cpu"):
        both = zip(_time(kind, taken["many"]), _time(kind, taken["few"]), strict=True)
        rate = more / max(1e-3, median(much - little for much, little in both))
        yield Figure(f"runner_many_samples_per_{kind}_second", rate, 250_000, at_most=False)


def _time(kind: str, runs: list[Usage]) -> list[float]:
    return seconds(runs) if kind == "wall" else [run.cpu_seconds for run in runs]


def _candidate(precision: str) -> dict[str, Any]:
    return {"name": precision, "backend": "onnxruntime", "precision": precision}


def _spec(batch: int, check: Mapping[str, Any], candidates: list[dict[str, Any]]) -> dict[str, Any]:
    whole = audit(batch, check)
    return {**whole, "spec": {**whole["spec"], "candidates": candidates}}


@contextlib.contextmanager
def _made(kind: str, size: int, samples: int) -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix=f"assay-bench-{kind}-"))
    try:
        words = python("tests.bench.extremes", kind, folder / "in")
        run_program([*words, "--size", str(size), "--samples", str(samples)], folder / "build.log")
        yield folder / "in"
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _watched(folder: Path, spec: Mapping[str, Any], most: list[float]) -> Callable[[], Usage]:
    """An audit whose scratch folder and results are looked at while it runs; MB that they held at most go to `most`."""

    def program() -> Usage:
        scratch, over, found = folder / "scratch", threading.Event(), [0.0]
        scratch.mkdir(exist_ok=True)
        # What is linked to the model's own files takes no room.
        own = {file.stat().st_ino for file in folder.iterdir() if file.is_file()}

        def look() -> None:
            while not over.wait(LOOK):
                found[0] = max(found[0], (_held(scratch, own) + _held(folder / "out", own)) / 1e6)

        watcher = threading.Thread(target=look, daemon=True)
        watcher.start()
        before = os.environ.get("ASSAY_SCRATCH")
        os.environ["ASSAY_SCRATCH"] = str(scratch)
        try:
            return run_audit(folder, spec)
        finally:
            over.set()
            watcher.join()
            os.environ.pop("ASSAY_SCRATCH")
            if before is not None:
                os.environ["ASSAY_SCRATCH"] = before
            most.append(found[0])

    return program


def _held(folder: Path, own: set[int]) -> int:
    """Bytes on disk below a folder, each file once, those aside that lie elsewhere too."""
    sizes: dict[int, int] = {}
    for place, _folders, files in os.walk(folder):
        for name in files:
            with contextlib.suppress(OSError):
                status = os.lstat(os.path.join(place, name))
                sizes[status.st_ino] = status.st_blocks * 512
    return sum(size for inode, size in sizes.items() if inode not in own)
