"""Benchmarks of the tensorrt backend: audits of ResNet-50 in FP16 against bare inference and against Polygraphy.

Building an engine takes longer than everything else and says nothing about an audit, so no figure holds any: engines
come from the artifact store, which all audits here share, so that each is built once, before anything is measured;
builds that happen all the same are counted, timed and taken off (`counted`). Golden outputs are made anew each time:
they are part of the work.
"""

from __future__ import annotations

import argparse
import json
import math
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tests.bench import gpu_repair
from tests.bench.audits import DRIFT, audit
from tests.bench.figures import Figure, median_ratio, report, say
from tests.bench.programs import ROOT, ProgramFailed, Usage, python, run_program
from tests.bench.runner import prepared
from tests.bench.turns import in_turns, seconds
from tests.gpu.plans import plans_in

EVERY_TENSOR: Mapping[str, Any] = {"layerDrift": {"tensors": "all"}}
"""The comparison that Polygraphy makes too: of every tensor, those among them that the engine as served fuses away."""
UNAVAILABLE = 69
LEVEL = 1
"""Optimisation level of every engine: fusions are the same from 1 on, and builds are what costs."""
WORST = "worst.json"
TIMINGS = "timing.cache"
BATCH = 16
SHOWN = 3
AMONG = 10


@dataclass(frozen=True)
class Size:
    """How large the measurements are.

    Attributes:
        image: height and width of ResNet-50's input.
        samples: samples of the audits of outputs, and of the larger audit of layers.
        few: samples of the smaller audit of layers, and of the audits that build.
        compared: samples of the two programs that compare all tensors: Polygraphy takes some seconds for each.
        repeats: times that each program of the audit of outputs runs.
    """

    image: int = 224
    samples: int = 256
    few: int = 16
    compared: int = 16
    repeats: int = 3


QUICK = Size(image=64, samples=32, compared=16, repeats=1)


@dataclass(frozen=True)
class Ran:
    """An audit that ran.

    Attributes:
        usage: of the process, the time of its builds taken off.
        builds: engines that TensorRT built in it.
        report: report.json.
    """

    usage: Usage
    builds: int
    report: dict[str, Any]


def on_tensorrt(samples: int, *checks: Any) -> dict[str, Any]:
    """The audit of the CPU benchmarks with its one candidate on TensorRT."""
    spec = audit(BATCH, *checks, precision="fp16")
    candidate = {"name": "fp16", "backend": "tensorrt", "precision": "fp16", "typing": "weak"}
    spec["spec"]["candidates"] = [candidate | {"build": {"optimizationLevel": LEVEL}}]
    spec["spec"]["dataset"]["samples"] = samples
    return spec


def run_audit(folder: Path, spec: dict[str, Any], fresh: bool = True) -> Ran:
    """Run an audit; whatever it finds is fine, if only it measured. Fresh: golden outputs are not taken from the cache.

    Raises:
        ProgramFailed: the audit ended without a measurement.
    """
    out, counts, file = folder / "out", folder / "counts.json", folder / "audit.yaml"
    if fresh:
        shutil.rmtree(out / "cache" / "golden", ignore_errors=True)
    spec["spec"]["onBreach"] = "Report"
    file.write_text(json.dumps(spec))
    words: list[str | Path | int] = ["run", "-f", file, "--out", out]
    # A breach is a result: how much FP16 drifts on random weights is not what is measured here.
    used = run_program(python("tests.bench.counted", counts, *words), folder / "assay.log", allowed=(0, 1, 2))
    counted, told = json.loads(counts.read_text()), json.loads((out / "report.json").read_text())
    [candidate] = told["candidates"]
    if candidate.get("error") or candidate["samples"] != spec["spec"]["dataset"]["samples"]:
        raise ProgramFailed(f"the audit measured {candidate['samples']} samples: {candidate.get('error', 'too few')}")
    return Ran(replace(used, seconds=used.seconds - counted["seconds"]), int(counted["builds"]), told)


def plan_of(folder: Path) -> Path:
    """The engine that the audit of outputs left in its cache: the only one by then."""
    return plans_in(folder / "out" / "cache")[0]


def bare(program: str, folder: Path, plan: Path, samples: int) -> Usage:
    """A program of `tests.bench.bare_gpu`."""
    words = ("tests.bench.bare_gpu", program, folder, "--plan", plan, "--batch", BATCH, "--samples", samples)
    return run_program(python(*words), folder / f"{program}.log")


def outputs(folder: Path, size: Size) -> Iterator[Figure]:
    """An audit of outputs alone against the two passes it cannot do without."""
    spec = on_tensorrt(size.samples, DRIFT)
    say(f"ResNet-50, {size.image}x{size.image}, {size.samples} samples in batches of {BATCH}")
    say(f"{run_audit(folder, spec).builds} engines built before anything is measured")
    plan = plan_of(folder)
    programs = {
        "assay": lambda: run_audit(folder, spec).usage,
        "bare": lambda: bare("outputs", folder, plan, size.samples),
    }
    taken = in_turns(programs, size.repeats)
    yield Figure("gpu_outputs_wall_vs_bare", median_ratio(seconds(taken["assay"]), seconds(taken["bare"])), 1.2)


def cache(folder: Path, size: Size) -> Iterator[Figure]:
    """Engines that an audit builds when nothing has changed since the one before it."""
    spec = on_tensorrt(size.few, DRIFT, EVERY_TENSOR)
    first = run_audit(folder, spec)
    second = run_audit(folder, spec, fresh=False)
    say(f"{first.builds} engines built by a first audit, {second.builds} by a second one")
    # Where no engine is kept nothing was built at all, and a count of 0 would mean nothing.
    kept = plans_in(folder / "out" / "cache")
    yield Figure("gpu_second_audit_builds", second.builds if kept else math.nan, 0)


def layers(folder: Path, size: Size) -> Iterator[Figure]:
    """Every tensor: against Polygraphy in time and in what it finds, and its own memory as samples grow."""
    say(f"all tensors, {size.compared} samples")
    run_audit(folder, on_tensorrt(size.few, EVERY_TENSOR))
    marked = folder / "marked.plan"
    for timings in (folder / "out" / "cache").rglob(TIMINGS):
        # A copy: Polygraphy leaves a lock beside what it reads, and knows no seal.
        from assay_runner.stores.sealed import unsealed  # Bare programs import this module, and load nothing of ours.

        (folder / TIMINGS).write_bytes(unsealed(timings.read_bytes(), str(timings)) or b"")
    bare("build", folder, marked, 0)
    found: list[dict[str, Any]] = []

    def assay(samples: int) -> Usage:
        ran = run_audit(folder, on_tensorrt(samples, EVERY_TENSOR))
        found.append(ran.report)
        return ran.usage

    programs = {
        "assay": lambda: assay(size.compared),
        "polygraphy": lambda: bare("layers", folder, marked, size.compared),
    }
    taken = in_turns(programs, 1)
    ratio = median_ratio(seconds(taken["assay"]), seconds(taken["polygraphy"]))
    yield Figure("gpu_layers_wall_vs_polygraphy", ratio, 0.2)
    theirs = json.loads((folder / WORST).read_text())[:SHOWN]
    ours = worst(found[-1])[:AMONG]
    say(f"worst tensors: Polygraphy {', '.join(theirs)}; assay {', '.join(ours)}")
    yield Figure("gpu_layers_worst_found", sum(name in ours for name in theirs), SHOWN, at_most=False)
    memory = in_turns({"few": lambda: assay(size.few), "many": lambda: assay(size.samples)}, 1)
    growth = memory["many"][0].peak_mb - memory["few"][0].peak_mb
    say(f"all tensors of {size.samples} samples: {memory['many'][0].seconds:.2f} s of assay")
    yield Figure("gpu_layers_memory_growth", growth, 64, unit="MB")


def worst(report: dict[str, Any]) -> list[str]:
    """Tensors of the only candidate by largest difference, largest first; what is not finite is beyond all."""
    [candidate] = report["candidates"]
    rows = [(float(row["accumulatedMaxAbs"]), row["name"]) for row in candidate["layers"] if "accumulatedMaxAbs" in row]
    return [name for _, name in sorted(rows, key=lambda row: -row[0])]


BENCHMARKS: dict[str, Callable[[Path, Size], Iterator[Figure]]] = {
    "outputs": outputs,
    "layers": layers,
    "cache": cache,
}
REPAIR = "repair"
"""Measured where it is named: it takes as long as all others together."""


def missing() -> str:
    """Why nothing can be measured here, or nothing."""
    from assay_runner.backends import BACKENDS
    from assay_runner.errors import Unavailable

    try:
        BACKENDS["tensorrt"].available()
    except Unavailable as error:
        return str(error)
    return ""


def main() -> int:
    """Measure what is asked for; 1 when a goal is missed, 69 where nothing can be measured."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small and once: finds what is broken, judges nothing")
    parser.add_argument("--only", default=",".join(BENCHMARKS), help=f"of {','.join(BENCHMARKS)},{REPAIR}")
    parser.add_argument("--repeats", type=int, help="times that each program runs")
    parser.add_argument("--compared", type=int, help="samples that Polygraphy and assay compare all tensors of")
    parser.add_argument("--probe", action="store_true", help=argparse.SUPPRESS)
    gpu_repair.options(parser.add_argument_group("repair"))
    asked = parser.parse_args()
    if asked.probe:
        print(missing())
        return 0
    chosen = asked.only.split(",")
    if unknown := [name for name in chosen if name not in (*BENCHMARKS, REPAIR)]:
        parser.error(f"--only takes {','.join(BENCHMARKS)},{REPAIR}; got {','.join(unknown)}")
    if why := gpu_repair.unknown(asked.networks):
        parser.error(why)
    if why := asked.backend == "tensorrt" and probed():
        for name in chosen:
            print(f"NOT RUN: {name}: {why}")
        return UNAVAILABLE
    size = QUICK if asked.quick else Size()
    size = replace(size, repeats=asked.repeats or size.repeats, compared=asked.compared or size.compared)
    code = report([gpu_repair.measure(asked)]) if REPAIR in chosen else 0
    if chosen == [REPAIR]:
        return code
    with prepared("resnet50", size.image, size.samples) as folder:
        # In their order: the first takes the only engine there is by then.
        others = report(benchmark(folder, size) for name, benchmark in BENCHMARKS.items() if name in chosen)
    return max(code, others)


def probed() -> str:
    """`missing`, asked in a process of its own: this one stays small, see `programs`."""
    words = python("tests.bench.gpu", "--probe")
    return subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()


if __name__ == "__main__":
    raise SystemExit(main())
