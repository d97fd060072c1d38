"""Benchmarks of the runner: `assay run` against bare ONNX Runtime and against Polygraphy.

Everything is measured from the start of a process to its exit, imports, reading and reports included, on both sides.
Programs that are compared run in turns.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

from tests.bench import far_ends, held
from tests.bench.audits import DRIFT, LAYERS, audit, run_audit
from tests.bench.figures import Figure, median_ratio, report, say
from tests.bench.programs import Usage, python, run_program
from tests.bench.real_models import real_models
from tests.bench.turns import Program, bare, in_turns, peak, seconds


@dataclass(frozen=True)
class Size:
    """How large the measurements are.

    Attributes:
        image: height and width of ResNet-50's input.
        samples: samples of its audit.
        growth: samples of the two audits whose peak memory is compared.
        tensors: height and width of the tensors of the 60-convolution network.
        trials: candidates that are tried one after another.
        real: samples of real models, by model.
        ends: a large model, a deep one, many samples.
        repeats: times that each program runs.
    """

    image: int = 224
    samples: int = 256
    growth: tuple[int, int] = (256, 2048)
    tensors: int = 56
    trials: int = 20
    real: tuple[tuple[str, int], ...] = (("nudenet", 96), ("pp-ocr-det", 96))
    ends: far_ends.FarEnds = far_ends.FULL
    repeats: int = 3


QUICK = Size(
    image=96,
    samples=64,
    growth=(128, 512),
    tensors=28,
    trials=4,
    real=(("nudenet", 8), ("pp-ocr-det", 2)),
    ends=far_ends.QUICK,
    repeats=1,
)
LAYER_SAMPLES = (16, 64)
LAYER_BATCH = 4
OUTPUT_BATCH = 8
MAPS_BATCH = 32


@contextlib.contextmanager
def prepared(network: str, size: int, samples: int, shard: int = 64) -> Iterator[Path]:
    """A folder with a network and its data, gone afterwards; built in a process of its own, see `programs`."""
    folder = Path(tempfile.mkdtemp(prefix=f"assay-bench-{network}-"))
    try:
        built = python("tests.bench.networks", network, folder / "in")
        run_program(
            [*built, "--size", str(size), "--samples", str(samples), "--shard", str(shard)], folder / "build.log"
        )
        yield folder / "in"
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def outputs(size: Size) -> Iterator[Figure]:
    """An outputs-only audit of ResNet-50 against the two passes it cannot do without."""
    say(f"ResNet-50, {size.image}x{size.image}, {size.samples} samples in batches of {OUTPUT_BATCH}")
    with prepared("resnet50", size.image, size.samples) as folder:
        spec = audit(OUTPUT_BATCH, DRIFT)
        programs = {"assay": lambda: run_audit(folder, spec), "bare": bare("outputs", folder, OUTPUT_BATCH)}
        taken = in_turns(programs, size.repeats)
    yield Figure("runner_outputs_wall_vs_bare", median_ratio(seconds(taken["assay"]), seconds(taken["bare"])), 1.15)


def memory(size: Size) -> Iterator[Figure]:
    """Peak memory of an audit as the dataset grows."""
    few, many = size.growth
    say(f"a small network with large outputs, {few} and {many} samples in batches of {MAPS_BATCH}")
    with prepared("maps", 64, few) as small, prepared("maps", 64, many) as large:
        spec = audit(MAPS_BATCH, DRIFT)
        programs = {"few": lambda: run_audit(small, spec), "many": lambda: run_audit(large, spec)}
        taken = in_turns(programs, size.repeats)
    yield Figure("runner_outputs_memory_growth", peak(taken["many"]) - peak(taken["few"]), 50, unit="MB")


def layers(size: Size) -> Iterator[Figure]:
    """Every tensor of 60 convolutions: against Polygraphy in time, against bare sessions in memory."""
    few, many = LAYER_SAMPLES
    say(f"60 convolutions, {size.tensors}x{size.tensors}, {few} and {many} samples in batches of {LAYER_BATCH}")
    polygraphy = ("tests.bench.polygraphy_layers", "--batch", LAYER_BATCH)
    with prepared("sixty", size.tensors, few, few) as small, prepared("sixty", size.tensors, many, few) as large:
        spec = audit(LAYER_BATCH, LAYERS)
        programs: dict[str, Program] = {
            "assay": lambda: run_audit(small, spec),
            "polygraphy": lambda: run_program(python(*polygraphy, small), small / "polygraphy.log"),
            "bare": bare("tapped", small, LAYER_BATCH),
            "assay, more samples": lambda: run_audit(large, spec),
        }
        taken = in_turns(programs, size.repeats)
    ratio = median_ratio(seconds(taken["assay"]), seconds(taken["polygraphy"]))
    yield Figure("runner_layers_wall_vs_polygraphy", ratio, 0.35)
    yield Figure("runner_layers_memory_vs_bare", peak(taken["assay"]) / peak(taken["bare"]), 1.1)
    yield Figure(
        "runner_layers_memory_growth", peak(taken["assay, more samples"]) - peak(taken["assay"]), 20, unit="MB"
    )


def trials(size: Size) -> Iterator[Figure]:
    """Candidates that differ in one node: tried in one process, against a task of its own for each."""
    say(f"{size.trials} FP16 candidates of the decomposed digits transformer, each holding another node to FP32")
    folder = Path(tempfile.mkdtemp(prefix="assay-bench-trials-"))
    try:
        found = folder / "found.json"
        programs: dict[str, Program] = {
            "trials": lambda: run_program(
                python("tests.bench.trials", found, "--trials", size.trials), folder / "trials.log"
            ),
            "tasks": lambda: run_program(python("tests.bench.held_tasks", folder, size.trials), folder / "tasks.log"),
        }
        taken = in_turns(programs, size.repeats)
        told = json.loads(found.read_text())
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    yield Figure("runner_trials_wall_vs_tasks", median_ratio(seconds(taken["trials"]), seconds(taken["tasks"])), 0.5)
    yield Figure("runner_trials_golden_runs_per_batch", told["goldenRuns"] / told["batches"], 1)
    yield Figure("runner_trials_memory_growth", told["memory"][-1][0] - told["memory"][1][0], 20, unit="MB")


def repair(size: Size) -> Iterator[Figure]:
    """The decomposed digits transformer, audited and repaired: two searches, of nodes and of rewritings."""
    say(f"an FP16 candidate of the decomposed digits transformer, audited alone and repaired, {size.repeats} times")
    folder = Path(tempfile.mkdtemp(prefix="assay-bench-repair-"))
    try:
        for name, remedies in (("audit", None), ("nodes", {"rewrite": False}), ("rewritten", {})):
            (folder / f"{name}.json").write_text(json.dumps(held.audit(remedies)))
        programs: dict[str, Program] = {name: _repaired(folder, name) for name in ("audit", "nodes", "rewritten")}
        taken = in_turns(programs, size.repeats)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    for name in ("nodes", "rewritten"):
        yield Figure(f"runner_repair_{name}_seconds", median(seconds(taken[name])), 60, unit="s")
    yield Figure(
        "runner_repair_nodes_wall_vs_audit", median_ratio(seconds(taken["nodes"]), seconds(taken["audit"])), 12
    )


def _repaired(folder: Path, name: str) -> Program:
    out = folder / f"{name}-out"

    def program() -> Usage:
        shutil.rmtree(out, ignore_errors=True)
        argv = python("assay_runner", "run", "-f", folder / f"{name}.json", "--backend", "onnxruntime", "--out", out)
        return run_program(argv, folder / f"{name}.log", allowed=(1,))

    return program


def calibration(size: Size) -> Iterator[Figure]:
    """Ranges by all methods, of three sizes of the set, against ranges by one of all of it: one pass either way."""
    say(f"calibrating ResNet-50, {size.image}x{size.image}, by all methods and by one")
    ratios = []
    with prepared("resnet50", size.image, 32, 32) as folder:
        for _ in range(size.repeats):
            file = folder / "found.json"
            run_program(python("tests.bench.calibrations", folder, file), folder / "ranges.log")
            told = json.loads(file.read_text())
            say(f"all methods {told['all']:.2f} s, entropy {told['one']:.2f} s")
            ratios.append(told["all"] / told["one"])
    yield Figure("runner_calibration_all_vs_one", median(ratios), 1.3)


def statistics(size: Size) -> Iterator[Figure]:
    """What is looked at of a tensor against one plain read of it and of golden's."""
    say(f"statistics of two tensors of 64 MiB, on one core, {size.repeats} times")
    folder = Path(tempfile.mkdtemp(prefix="assay-bench-statistics-"))
    try:
        ratios = []
        for _ in range(size.repeats):
            run_program(python("tests.bench.one_pass", folder / "found.json"), folder / "one_pass.log")
            told = json.loads((folder / "found.json").read_text())
            speeds = ", ".join(f"{kind} {told['bytes'] / told[kind] / 1e9:.1f} GB/s" for kind in ("statistics", "read"))
            say(speeds)
            ratios.append(told["statistics"] / told["read"])
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    yield Figure("runner_statistics_time_vs_read", median(ratios), 8)


BENCHMARKS: dict[str, Callable[[Size], Iterator[Figure]]] = {
    "outputs": outputs,
    "memory": memory,
    "layers": layers,
    "trials": trials,
    "repair": repair,
    "calibration": calibration,
    "statistics": statistics,
    "real": lambda size: real_models(size.real, size.repeats),
    "large": lambda size: far_ends.large(size.ends, size.repeats),
    "deep": lambda size: far_ends.deep(size.ends, size.repeats),
    "many": lambda size: far_ends.many(size.ends, size.repeats),
}


def main() -> int:
    """Measure what is asked for; 1 when a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small and once: finds what is broken, judges nothing")
    parser.add_argument("--only", default=",".join(BENCHMARKS), help=f"of {','.join(BENCHMARKS)}")
    parser.add_argument("--repeats", type=int, help="times that each program runs")
    asked = parser.parse_args()
    size = QUICK if asked.quick else Size()
    size = replace(size, repeats=asked.repeats or size.repeats)
    chosen = asked.only.split(",")
    if unknown := [name for name in chosen if name not in BENCHMARKS]:
        parser.error(f"--only takes {','.join(BENCHMARKS)}; got {','.join(unknown)}")
    return report(BENCHMARKS[name](size) for name in chosen)


if __name__ == "__main__":
    raise SystemExit(main())
