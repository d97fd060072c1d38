"""What Python hashes texts by, another number in each process, is no part of any answer."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
from onnx import helper

from tests.cli.audits import document, write
from tests.models import constant, model, node, random, value
from tests.runner.io.made import shard

FED: Final = [f"x{number}" for number in range(8)]
"""Graph inputs that one node reads, so that none of them comes before another there."""
MADE: Final = [f"a{number}" for number in range(6)]
"""Tensors that a branch reads from outside."""
TIMES: Final = frozenset({"seconds", "medianMs", "p99Ms", "latencyMs", "created", "uri", "reproduce", "deploy"})
"""What is another in each run, and the folder of its files."""


def branch(name: str, reads: list[str]) -> onnx.GraphProto:
    nodes = [node("Sum", " ".join(reads), f"{name}.s"), node("Tanh", f"{name}.s", f"{name}.o")]
    return helper.make_graph(nodes, name, [], [value(f"{name}.o", "N", 8)])


def staged(folder: Path) -> str:
    """A model and data of which several are wrong alike: all inputs but one overflow, and none may be calibrated."""
    nodes = [node("Sum", " ".join(FED), "s"), node("ReduceSum", "s", "t", keepdims=0), node("Greater", "t zero", "c")]
    for name in MADE:
        nodes += [node("MatMul", f"s {name}.w", f"{name}.h"), node("Tanh", f"{name}.h", name)]
    branches = {"then_branch": branch("then", MADE), "else_branch": branch("else", MADE[::-2])}
    nodes += [node("If", "c", "i", **branches), node("MatMul", "i v", "y"), node("Softmax", "a0", "p")]
    weights = [constant(f"{name}.w", random(8, 8, seed=seed)) for seed, name in enumerate(MADE)]
    weights += [constant("v", random(8, 4, seed=9)), constant("zero", np.float32(0))]
    proto = model(nodes, [value(x, "N", 8) for x in FED], [value("y", "N", 4), value("p", "N", 8)], weights)
    onnx.save(proto, str(folder / "model.onnx"))
    for name, times in (("data", 1e5), ("calib", 1.0), ("endless", np.inf)):
        arrays = {x: random(24, 8, seed=seed) * np.float32(times if seed != 3 else 1) for seed, x in enumerate(FED)}
        shard(folder / name / "part-0.npz", False, **arrays)
    eight = {"backend": "onnxruntime", "precision": "int8"}
    return write(folder, document({
        "model": {"uri": "file://./model.onnx"},
        "dataset": {"uri": "file://./data/", "batch": 8},
        "candidates": [
            {"name": "fp16", "backend": "onnxruntime", "precision": "fp16"},
            {"name": "int8", **eight, "calibration": {"uri": "file://./calib/"}},
            {"name": "endless", **eight, "calibration": {"uri": "file://./endless/"}},
        ],
        "checks": [{name: {}} for name in ("finite", "outputDrift", "layerDrift", "fp16Range", "batchInvariance")],
        "remedies": {"auto": {}, "budget": {"proposals": 5}},
        "artifacts": {"uri": "file://./out/"},
    }))  # fmt: skip


def timeless(told: Any) -> Any:
    """A report without its times and folders; the order of its fields is kept, as a page shows it."""
    if isinstance(told, dict):
        return [(key, timeless(inner)) for key, inner in told.items() if key not in TIMES]
    return [timeless(inner) for inner in told] if isinstance(told, list) else told


def test_reports_are_the_same_whatever_texts_are_hashed_by(tmp_path: Path) -> None:
    file = staged(tmp_path)
    runs = []
    for seed in ("1", "2"):
        words = [sys.executable, "-m", "assay_runner", "run", "-f", file, "--out", str(tmp_path / seed)]
        env = {**os.environ, "PYTHONHASHSEED": seed, "ASSAY_SCRATCH": str(tmp_path / f"scratch-{seed}")}
        runs.append(subprocess.Popen(words, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True))
    said = [run.communicate(timeout=300)[0] for run in runs]
    assert [run.returncode for run in runs] == [1, 1], said
    first, second = (json.loads((tmp_path / seed / "report.json").read_bytes()) for seed in ("1", "2"))
    assert timeless(first) == timeless(second)
    # What several are wrong of alike is told of the first.
    [error] = [each["error"] for each in first["candidates"] if each["name"] == "endless"]
    assert error.startswith("tensor 's' is not finite on the calibration set"), error
