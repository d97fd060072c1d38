"""Audits of models that packages ship, against two runs of bare ONNX Runtime over the same data."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from tests.bench.audits import LAYERS, audit, run_audit
from tests.bench.figures import Figure, median_ratio, say
from tests.bench.programs import python, run_program
from tests.bench.turns import bare, in_turns, peak, seconds

__all__ = ["real_models"]

BATCH: Final = 4
TEN: Final = (
    "finite", "outputDrift", "layerDrift", "achievedPrecision", "fp16Range", "layerConstraints", "runToRun",
    "batchInvariance", "extraOutput", "latency",
)  # fmt: skip
OUTPUTS: Final[Mapping[str, Any]] = {"outputDrift": {}}
SMALL_MB: Final = 1500.0
"""Memory that an audit may take whatever the bare run takes."""


def real_models(sizes: tuple[tuple[str, int], ...], repeats: int) -> Iterator[Figure]:
    """Each model with so many samples: outputs alone, every tensor, all ten checks.

    The verdicts are whatever they are, and no goal: a detector that breaks in FP16 is audited all the same.
    """
    folder = Path(tempfile.mkdtemp(prefix="assay-bench-real-"))
    try:
        for name, samples in sizes:
            staging = [*python("tests.real", "stage", folder), "--only", name, "--samples", str(samples)]
            run_program(staging, folder / "stage.log")
            yield from _figures(name, folder / name, samples, repeats)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _figures(name: str, folder: Path, samples: int, repeats: int) -> Iterator[Figure]:
    say(f"{name}, {samples} samples in batches of {BATCH}")
    asked = {
        "outputs": audit(BATCH, OUTPUTS),
        "layers": audit(BATCH, LAYERS, precision="fp16"),
        "checks": audit(BATCH, *({check: {}} for check in TEN), precision="fp16"),
    }
    programs = {kind: lambda spec=spec: run_audit(folder, spec, allowed=(0, 1, 2)) for kind, spec in asked.items()}
    taken = in_turns({"bare": bare("outputs", folder, BATCH), **programs}, repeats)
    for kind, goal in (("outputs", 1.25), ("layers", 4.5), ("checks", 12.0)):
        yield Figure(
            f"runner_{name}_{kind}_wall_vs_bare", median_ratio(seconds(taken[kind]), seconds(taken["bare"])), goal
        )
    most = max(SMALL_MB, 3 * peak(taken["bare"]))
    yield Figure(f"runner_{name}_layers_memory", peak(taken["layers"]), round(most), unit="MB")
