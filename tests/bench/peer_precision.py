"""Polygraphy's `debug precision` as its users run it, under a time limit, and what its log says of it."""

from __future__ import annotations

import json
import re
import shutil
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from tests.bench.files import CHECKS, MODEL
from tests.bench.limited import ended_within
from tests.bench.programs import ROOT, python

__all__ = ["Bisection", "Step", "bisected", "command", "read"]

LAUNCH: Final = "from polygraphy.tools import main; raise SystemExit(main())"
"""Wheels that were unpacked into a folder have no `polygraphy` on the path."""
ENGINE: Final = "polygraphy_debug.engine"
TIMINGS: Final = "timings"
LINES: Final = re.compile(
    r"Selecting first (?P<wide>\d+) layer|(?P<verdict>PASSED|FAILED) \| Iteration \d+ \| Duration (?P<seconds>[\d.]+)s"
    r"|(?P<ended>Finished \d+ iteration)|(?P<unbuilt>Failed to create network or engine)"
)


@dataclass(frozen=True)
class Step:
    """One iteration: an engine, built and checked.

    Attributes:
        wide: layers of the network that were marked, from its inputs on.
        seconds: of build and check.
        built: whether there was an engine.
    """

    wide: int
    passed: bool
    seconds: float
    built: bool = True


@dataclass(frozen=True)
class Bisection:
    """What came of it.

    Attributes:
        steps: those that ended, in order.
        ended: whether it came to its end within the limit.
        seconds: wall time of all of it.
        broken: what its checks ended with that were none, so that they tell nothing of the engines.
    """

    steps: list[Step]
    ended: bool
    seconds: float = 0.0
    notes: list[str] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)

    @property
    def kept(self) -> int | None:
        """Layers that the least passing step marks: its answer, or its best so far; None where nothing passed."""
        return min((step.wide for step in self.steps if step.passed), default=None)

    @property
    def least(self) -> int:
        """Layers that it will mark at least: more than any step that failed, as it takes more layers for no worse."""
        failed = [step.wide for step in self.steps if not step.passed]
        return self.kept if self.ended and self.kept is not None else max(failed, default=0) + 1

    def told(self) -> dict[str, Any]:
        """For the file of results."""
        rows = [[step.wide, step.passed, round(step.seconds, 2), step.built] for step in self.steps]
        return {
            "builds": len(self.steps), "ended": self.ended, "seconds": round(self.seconds, 1), "layersKept": self.kept,
            "layersAtLeast": self.least, "steps": rows, "notes": self.notes,
            "broken": self.broken,
        }  # fmt: skip


def command(folder: Path, level: int, all_fp16: bool, plain: bool = False) -> list[str]:
    """The command line, to be run in the folder; `plain`: with nothing but what its help shows first."""
    words = [
        "debug", "precision", MODEL, "--mode", "bisect", "--dir", "forward", "--precision", "float32", "--fp16",
        "--precision-constraints", "obey", "--builder-optimization-level", str(level),
        "--profiling-verbosity", "detailed",
        "--artifacts", ENGINE, "--art-dir", "engines",
    ]  # fmt: skip
    if not plain:
        words += ["--load-timing-cache", TIMINGS, "--save-timing-cache", TIMINGS]
    if all_fp16 and not plain:
        words += ["--trt-network-postprocess-script", str(ROOT / "tests" / "bench" / "all_fp16.py")]
    check = python("tests.bench.peer_check", folder, folder / ENGINE)
    return [sys.executable, "-c", LAUNCH, *words, "--check", *check]


def read(log: str) -> Bisection:
    """What the log says; of an iteration that did not end, nothing."""
    steps: list[Step] = []
    wide, built, ended = 0, True, False
    for found in LINES.finditer(log):
        if found["wide"]:
            wide, built = int(found["wide"]), True
        elif found["unbuilt"]:
            built = False
        elif found["verdict"]:
            steps.append(Step(wide, found["verdict"] == "PASSED", float(found["seconds"]), built))
        else:
            ended = True
    return Bisection(steps, ended)


def bisected(folder: Path, level: int, all_fp16: bool, limit: float) -> Bisection:
    """Run it; with fewer words where it cannot build what it begins with."""
    begin = time.monotonic()
    found = _once(folder, command(folder, level, all_fp16), limit)
    if found.steps and not found.steps[0].built:
        again = _once(folder, command(folder, level, False, plain=True), limit - (time.monotonic() - begin))
        again.notes.append("its first engine could not be built: asked again, without timings or FP16 in every layer")
        return again
    return found


def _once(folder: Path, words: list[str], limit: float) -> Bisection:
    for left in (ENGINE, CHECKS, TIMINGS, f"{TIMINGS}.lock"):
        (folder / left).unlink(missing_ok=True)
    shutil.rmtree(folder / "engines", ignore_errors=True)
    begin = time.monotonic()
    code = ended_within(words, folder, folder / "polygraphy.log", limit)
    found = read((folder / "polygraphy.log").read_text(errors="replace"))
    notes = [f"ended with {code}"] if code else ["out of time"] if code is None else []
    lines = (folder / CHECKS).read_text().splitlines() if (folder / CHECKS).is_file() else []
    broken = [json.loads(line)["error"] for line in lines if "error" in json.loads(line)]
    return Bisection(found.steps, found.ended and code == 0, time.monotonic() - begin, notes, broken)


def engine_of(folder: Path, steps: Sequence[Step]) -> Path | None:
    """The engine of the least passing step, which Polygraphy keeps by the number of its iteration."""
    passed = [at for at, step in enumerate(steps) if step.passed]
    if not passed:
        return None
    at = min(passed, key=lambda each: steps[each].wide)
    return next(iter(sorted((folder / "engines" / "good").glob(f"*_N{at}.engine"))), None)
