"""The GPU benchmarks as far as they go without a GPU: what they count, how they rank, what they say is missing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.bench.bare_gpu import ranked, some
from tests.bench.counted import counting
from tests.bench.files import INPUT
from tests.bench.gpu import BENCHMARKS, EVERY_TENSOR, on_tensorrt, plan_of, worst
from tests.bench.networks import write
from tests.bench.programs import ROOT, ProgramFailed, python, run_program
from tests.lab import Unavailable


class Builder:
    """As TensorRT's, as far as counting goes."""

    def build_serialized_network(self, network: str) -> str:
        if not network:
            raise ValueError("no network")
        return network.upper()

    def reset(self) -> str:
        return "reset"


def test_every_build_counts_also_one_that_fails() -> None:
    counts = {"builds": 0.0, "seconds": 0.0}

    class Counted(Builder):
        pass

    counting(Counted, counts)
    assert Counted().build_serialized_network("net") == "NET"
    assert Counted().reset() == "reset"
    with pytest.raises(ValueError, match="no network"):
        Counted().build_serialized_network("")
    assert counts["builds"] == 2
    assert counts["seconds"] > 0


MODULE = "class Builder:\n    def build_engine(self):\n        return 7\n"
PROGRAM = """
import importlib.util, sys
from tests.bench.counted import WhenLoaded, counting
counts = {"builds": 0, "seconds": 0.0}
sys.meta_path.insert(0, WhenLoaded("tensorrt", lambda module: counting(module.Builder, counts)))
assert importlib.util.find_spec("tensorrt") is not None
assert importlib.util.find_spec("no_such_module") is None
assert "tensorrt" not in sys.modules
import tensorrt
print(tensorrt.Builder().build_engine(), counts["builds"])
"""


def test_a_builder_is_counted_from_the_moment_it_is_loaded(tmp_path: Path) -> None:
    (tmp_path / "tensorrt.py").write_text(MODULE)
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path}:{ROOT}"}
    words = [sys.executable, "-c", PROGRAM]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "7 1\n"


def test_worst_tensors_of_a_report_and_of_a_comparison() -> None:
    rows = [{"name": "a", "accumulatedMaxAbs": 0.1}, {"name": "b", "accumulatedMaxAbs": "Infinity"}, {"name": "c"}]
    assert worst({"candidates": [{"layers": rows}]}) == ["b", "a"]
    iterations = [{"a": SimpleNamespace(max_absdiff=x), "b": SimpleNamespace(max_absdiff=0.2)} for x in (0.1, 0.3)]
    assert ranked([{("golden", "engine"): iterations}]) == ["a", "b"]


def test_the_engine_is_known_by_its_first_bytes(tmp_path: Path) -> None:
    kept = tmp_path / "out" / "cache" / "engines" / "key"
    kept.mkdir(parents=True)
    (kept / "build.json").write_text("{}")
    (kept / "engine").write_bytes(b"ftrt and more")
    assert plan_of(tmp_path) == kept / "engine"


def test_only_the_first_samples_are_read(tmp_path: Path) -> None:
    write("maps", tmp_path, 16, samples=48, shard=32)
    assert [len(feeds[INPUT]) for feeds in some(tmp_path, 16, 32)] == [16, 16]


def test_the_measured_audit_is_one_that_assay_takes(tmp_path: Path) -> None:
    file = tmp_path / "audit.yaml"
    file.write_text(json.dumps(on_tensorrt(32, EVERY_TENSOR)))
    run_program(python("assay_runner", "validate", "-f", file), tmp_path / "log")


def test_an_allowed_code_is_no_failure(tmp_path: Path) -> None:
    argv = ["python3", "-c", "raise SystemExit(2)"]
    assert run_program(argv, tmp_path / "log", allowed=(0, 2)).seconds > 0
    with pytest.raises(ProgramFailed):
        run_program(argv, tmp_path / "log")


def test_a_machine_without_gpu_says_what_was_not_run() -> None:
    done = subprocess.run(python("tests.bench.gpu"), cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode != 69:
        raise Unavailable("nothing is missing here: run make gpu-bench")
    lines = done.stdout.splitlines()
    assert [line.split(":")[:2] for line in lines] == [["NOT RUN", f" {name}"] for name in BENCHMARKS]
    assert all("tensorrt" in line for line in lines)
