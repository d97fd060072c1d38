"""`assay repair` on a GPU against Polygraphy's `debug precision`, on the same networks, with the same limit and golden.

Repairs and bisections run several at a time, each under a limit; engines that come out of both are
timed afterwards, in turns, with nothing else on the GPU. Results are written as they come, so a run that is cut leaves
what it had.

    make gpu-bench ARGS="--only repair --json repair.json"
    make gpu-bench ARGS="--only repair --networks chain-200,digits-vit"
"""

from __future__ import annotations

import json
import math
import shutil
import subprocess
import tempfile
import threading
import time
from argparse import ArgumentTypeError, Namespace, _ArgumentGroup
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any, Final

from tests.bench.figures import Figure, say
from tests.bench.programs import ROOT, ProgramFailed, python, run_program
from tests.bench.repair_trials import document, last_json, ours, theirs

__all__ = ["LIMITS", "Limits", "Results", "at_least_one", "figures_of", "kept_ratio", "measure", "options", "unknown"]


@dataclass(frozen=True)
class Limits:
    """Of one network.

    Attributes:
        nodes: of the model.
        batch: samples of a batch.
        ours: seconds that a repair may take.
        theirs: seconds that Polygraphy may take.
        all_fp16: whether Polygraphy is asked for FP16 in every layer that it does not mark: where FP32 is as quick, the
            builder takes one or the other by chance.
    """

    nodes: int
    batch: int
    ours: float
    theirs: float
    all_fp16: bool = False


LIMITS: Final = {
    "chain-100": Limits(100, 8, 170, 150, all_fp16=True),
    "chain-200": Limits(200, 8, 170, 150, all_fp16=True),
    "chain-1000": Limits(1000, 8, 230, 240, all_fp16=True),
    "chain-5000": Limits(5000, 8, 1080, 300, all_fp16=True),
    "resnet-50": Limits(207, 8, 230, 240),
    "transformer-6": Limits(217, 8, 230, 240),
    "transformer-12": Limits(433, 8, 240, 300),
    "digits-vit": Limits(108, 64, 170, 150),
    "digits-cnn": Limits(13, 64, 110, 90),
}
"""The networks of `repair_networks`, which this process does not import: it launches what is measured."""
RESERVE: Final = 60.0
"""Seconds at the end for engines to be timed in."""
LONG: Final = 300.0
"""Seconds that only those bisections are given that are not expected to end within them."""
AUDITED: Final = 45.0
"""Seconds of them for what comes before the search, and for the audit of what it finds."""
TIMED: Final = 60.0
"""Seconds that timing two engines may take."""


@dataclass
class Results:
    """What has been measured so far, in a file from the first result on.

    Attributes:
        file: JSON.
    """

    file: Path
    networks: dict[str, dict[str, Any]] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, network: str, what: str, told: Any) -> None:
        """Write one result."""
        with self.lock:
            self.networks.setdefault(network, {"nodes": LIMITS[network].nodes})[what] = told
            self.write({})

    def write(self, more: Mapping[str, Any]) -> None:
        """Write all results, and more."""
        part = self.file.with_suffix(".part")
        part.write_text(json.dumps({"networks": self.networks, **more}, indent=1))
        part.replace(self.file)


def options(parser: _ArgumentGroup) -> None:
    """What this benchmark takes on the command line."""
    parser.add_argument("--networks", default=",".join(LIMITS), help=f"of {','.join(LIMITS)}")
    parser.add_argument("--json", type=Path, default=ROOT / "build" / "gpu-repair.json", help="where results go")
    parser.add_argument("--minutes", type=float, default=7.5, help="for all repairs together")
    parser.add_argument("--workers", type=at_least_one, default=5, help="repairs and bisections at once")
    parser.add_argument("--level", type=int, default=1, help="optimisation level of all engines")
    parser.add_argument("--keep", type=Path, help="folder for logs and engines, else they go")
    parser.add_argument("--backend", default="tensorrt", help="onnxruntime tries the program itself, without a GPU")


def unknown(text: str) -> str:
    """What of a list of networks is none, in a sentence; or nothing."""
    names = [name for name in text.split(",") if name not in LIMITS]
    return f"--networks takes {','.join(LIMITS)}; got {','.join(names)}" if names else ""


def at_least_one(text: str) -> int:
    """A number of the command line.

    Raises:
        ArgumentTypeError: it is less than 1, or none.
    """
    if not text.isdecimal() or int(text) < 1:
        raise ArgumentTypeError(f"takes a whole number from 1 on; got {text}")
    return int(text)


def measure(asked: Namespace) -> Iterator[Figure]:
    """Repair, bisect, time, and judge."""
    until = time.monotonic() + 60 * asked.minutes
    names, results = asked.networks.split(","), Results(asked.json.absolute())
    folder = (asked.keep or Path(tempfile.mkdtemp(prefix="assay-gpu-repair-"))).absolute()
    for each in (folder, results.file.parent):
        each.mkdir(parents=True, exist_ok=True)
    try:
        with ThreadPoolExecutor(asked.workers) as workers:
            ready = list(workers.map(lambda name: _prepared(folder / name, name, results), names))
            names = [name for name, made in zip(names, ready, strict=True) if made]
            list(workers.map(lambda job: job(until), _jobs(names, folder, results, asked)))
        _timed(names, folder, results, until)
        found = list(figures_of(results.networks))
        results.write({"figures": [str(figure) for figure in found]})
        yield from found
    finally:
        if not asked.keep:
            shutil.rmtree(folder, ignore_errors=True)


def _prepared(folder: Path, name: str, results: Results) -> bool:
    folder.mkdir(parents=True, exist_ok=True)
    try:
        run_program(python("tests.bench.repair_networks", name, folder), folder / "prepare.log")
    except ProgramFailed as error:
        results.add(name, "ours", {"outcome": "error", "said": str(error).splitlines()[-3:]})
        say(f"{name} could not be made: {error}")
        return False
    return True


def _jobs(names: Sequence[str], folder: Path, results: Results, asked: Namespace) -> list[Callable[[float], None]]:
    """Two of each network: first bisections that run to their limit, then all repairs, then the short bisections."""

    def job(name: str, what: str, limit: float, does: Callable[[float], dict[str, Any]]) -> Callable[[float], None]:
        def run(until: float) -> None:
            left = min(limit, until - time.monotonic() - RESERVE)
            try:
                told = does(left) if left > 0 else {"outcome": "not begun"}
            except Exception as error:
                # One network's failure is its own: what else is measured goes on.
                told = {"outcome": "error", "said": [f"{type(error).__name__}: {error}"]}
            results.add(name, what, told)
            say(f"{name}, {what}: {_shown(told)}")

        return run

    found: list[tuple[float, Callable[[float], None]]] = []
    for name in names:
        row, place = LIMITS[name], folder / name
        searching = min(row.ours, 60 * asked.minutes - RESERVE) - AUDITED
        spec = document(name, row.batch, asked.level, asked.backend, max(1, int(searching) // 60))
        found.append((1000 - row.ours, job(name, "ours", row.ours, partial(ours, place, spec))))
        bisect = partial(theirs, place, asked.level, row.all_fp16)
        found.append(((2000 if row.theirs < LONG else 0) + row.theirs, job(name, "theirs", row.theirs, bisect)))
    return [each[1] for each in sorted(found, key=lambda each: each[0])]


def _shown(told: Mapping[str, Any]) -> str:
    keys = (
        "outcome",
        "nodesKept",
        "builds",
        "ended",
        "layersKept",
        "layersAtLeast",
        "seconds",
        "said",
        "notes",
        "broken",
    )
    return ", ".join(f"{key} {told[key]}" for key in keys if told.get(key) not in (None, []))


def _timed(names: Sequence[str], folder: Path, results: Results, until: float) -> None:
    for name in names:
        told = results.networks.get(name, {})
        plans = [told.get(what, {}).get("plan") for what in ("ours", "theirs")]
        if not all(plans) or time.monotonic() > until:
            continue
        words = python("tests.bench.two_engines", folder / name, *plans)
        try:
            ended = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False, timeout=TIMED)
            latency = last_json(ended.stdout) or {"error": ended.stderr[-500:]}
        except subprocess.TimeoutExpired:
            latency = {"error": f"took more than {TIMED:g} s"}
        results.add(name, "latency", latency)
        say(f"{name}, latency: {latency.get('ms', latency)}, ratio {latency.get('ratio')}, {latency.get('snr')} dB")


def figures_of(networks: Mapping[str, Mapping[str, Any]]) -> Iterator[Figure]:
    """Builds of small and of all networks, and the medians; what was not cured counts as missed."""
    builds = {name: (told["nodes"], _builds(told.get("ours", {}))) for name, told in networks.items()}
    for size, most in ((200, 4), (5000, 6)):
        counts = [count for nodes, count in builds.values() if nodes <= size]
        if counts:
            yield Figure(f"gpu_repair_builds_n{size}", math.nan if any(map(math.isnan, counts)) else max(counts), most)
    kept = [ratio for told in networks.values() if (ratio := kept_ratio(told)) is not None]
    yield Figure("gpu_repair_nodes_kept_vs_polygraphy_median", median(kept) if kept else math.nan, 0.1)
    slower = [told["latency"]["ratio"] for told in networks.values() if "ratio" in told.get("latency", {})]
    yield Figure("gpu_repair_latency_vs_polygraphy_median", median(slower) if slower else math.nan, 1.0)


def _builds(told: Mapping[str, Any]) -> float:
    return float(told["builds"]) if told.get("outcome") == "Cured" else math.nan


def kept_ratio(told: Mapping[str, Any]) -> float | None:
    """Nodes that ours keeps wide against Polygraphy's; where it did not end, against the fewest it can come to."""
    theirs_told = told.get("theirs", {})
    other = theirs_told.get("atLeast", {})
    if told.get("ours", {}).get("outcome") != "Cured" or "layers" not in other:
        return None
    if not theirs_told["builds"] or theirs_told.get("broken"):
        return None
    # Of its layers, those that are nodes of the model: the rest are reshapes and copies that the parser adds.
    return int(told["ours"]["nodesKept"]) / max(1, int(other["nodes"] or other["layers"]))
