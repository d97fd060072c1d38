"""Programs that are compared, run in turns; what their runs took."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping
from pathlib import Path

from tests.bench.figures import say
from tests.bench.programs import Usage, python, run_program

__all__ = ["Program", "bare", "in_turns", "peak", "seconds"]

Program = Callable[[], Usage]


def in_turns(programs: Mapping[str, Program], repeats: int) -> dict[str, list[Usage]]:
    """Run every program `repeats` times, in turns."""
    taken: dict[str, list[Usage]] = {name: [] for name in programs}
    for turn in range(repeats):
        for name, program in programs.items():
            used = program()
            taken[name].append(used)
            say(
                f"{name}, {turn + 1} of {repeats}: {used.seconds:.2f} s, {used.cpu_seconds:.2f} s of processor time, "
                f"peak {used.peak_mb:.0f} MB"
            )
    return taken


def bare(program: str, folder: Path, batch: int) -> Program:
    """A program of `tests.bench.bare`."""
    return lambda: run_program(python("tests.bench.bare", program, folder, "--batch", batch), folder / f"{program}.log")


def seconds(runs: list[Usage]) -> list[float]:
    """Wall time of each run."""
    return [run.seconds for run in runs]


def peak(runs: list[Usage]) -> float:
    """Median of the runs' peaks in MB."""
    return statistics.median(run.peak_mb for run in runs)
