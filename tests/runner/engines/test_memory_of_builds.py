"""Who builds many candidates in one process, and releases each, holds no more memory in the end than at the start."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

MIB = 1 << 20
WIDTH = 1024
"""Of the model's square weights: 8 MiB in all."""
FIRST, LAST = 2, 20
LEAK = 32
"""MiB; a process that kept one copy of the weights of each build would hold 144 more."""
PROGRAM = """
import sys
from pathlib import Path

import numpy as np

from assay_runner.backends import BACKENDS
from tests.models import Heard, Samples, constant, loaded, model, node, random, value
from tests.orders import ordered

folder, precision, width, *marks = Path(sys.argv[1]), sys.argv[2], *map(int, sys.argv[3:])
weights = [constant(name, random(width, width, seed=seed) / 32) for seed, name in enumerate(("w", "v"))]
nodes = [node("MatMul", "x w", "h"), node("Relu", "h", "r"), node("MatMul", "r v", "y")]
given = loaded(model(nodes, [value("x", "N", width)], [value("y", "N", width)], weights), folder)
backend, data = BACKENDS["onnxruntime"], Samples({"x": random(8, width)})
calibration = {"calibration": {"uri": "file:///c", "method": "minmax"}} if precision == "int8" else {}
for number in range(1, max(marks) + 1):
    order = ordered(precision, backend="onnxruntime", **calibration)
    built = backend.build(given, order, data, folder / str(number), Heard())
    for opened in (backend.open, backend.open_tapped):
        with opened(built) as session:
            assert np.isfinite(session.run(data.arrays)["y"]).all()
    backend.release(built)
    if number in marks:
        status = Path("/proc/self/status").read_text().splitlines()
        print(next(line.split()[1] for line in status if line.startswith("VmRSS:")))
"""


@pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="tells memory by /proc")
@pytest.mark.parametrize("precision", ["fp16", "int8"])
def test_memory_does_not_grow_with_the_builds(precision: str, tmp_path: Path) -> None:
    given = [str(tmp_path), precision, str(WIDTH), str(FIRST), str(LAST)]
    ended = subprocess.run([sys.executable, "-c", PROGRAM, *given], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    first, last = map(int, ended.stdout.split())
    assert (last - first) * 1024 < LEAK * MIB
