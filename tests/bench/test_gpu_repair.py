"""The GPU benchmark of repairs as far as it goes without a GPU: Polygraphy itself runs, TensorRT has a stand-in."""

from __future__ import annotations

import json
import math
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from assay_runner.cli import run_command
from tests.bench.files import GOLDEN, MODEL
from tests.bench.gpu_repair import LIMITS, figures_of, kept_ratio, unknown
from tests.bench.limited import ended_within
from tests.bench.peer_check import worst
from tests.bench.peer_precision import Step, read
from tests.bench.programs import ROOT, python
from tests.bench.repair_networks import NETWORKS, Network, chain, prepare
from tests.bench.repair_trials import document, theirs
from tests.bench.two_engines import precisions

STANDIN = ROOT / "tests" / "bench" / "standin"
NEEDS = ("c5.node", "r5.node", "c6.node")


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A chain of 20 nodes in a folder, and the stand-in's engine, which is right where NEEDS are in FP32."""
    prepare(Network(lambda: chain(20, 1, 4, 2), 8, 20), tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(STANDIN))
    monkeypatch.setenv("STANDIN_FOLDER", str(tmp_path))
    monkeypatch.setenv("STANDIN_NEEDS", ",".join(NEEDS))
    return tmp_path


def test_polygraphy_bisects_to_the_last_node_that_is_needed(small: Path) -> None:
    told = theirs(small, level=1, all_fp16=True, limit=60)
    assert told["ended"], told
    assert told["notes"] == []
    # Ten pairs and their ten weights: weight, convolution, ReLU, …; the seventh convolution is the last that is needed.
    assert told["layersKept"] == 20
    assert told["kept"] == {"all": 30, "layers": 13, "nodes": 13}
    assert told["builds"] == len(told["steps"]) > 3
    assert [step[0] for step in told["steps"] if step[1]][-1] == 20
    engine = json.loads(Path(told["plan"]).read_bytes())
    assert set(NEEDS) <= set(engine["wide"])
    assert engine["told"] == 20, "every layer of floats is asked for in FP16 or FP32"
    words = python("tests.bench.two_engines", small, told["plan"], told["plan"])
    timed = json.loads(subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True).stdout)
    assert timed["snr"] == {"ours": 400.0, "theirs": 400.0}
    assert 0 < timed["ratio"] < 100


def test_what_a_bisection_that_is_cut_can_still_come_to() -> None:
    log = """
[I]     Selecting first 480 layer(s) to run in higher precision
[I]     PASSED | Iteration 1 | Duration 59.1s
[I]     Selecting first 240 layer(s) to run in higher precision
[E]     FAILED | Iteration 2 | Duration 58.0s
[I]     Selecting first 360 layer(s) to run in higher precision
[W]     Failed to create network or engine, continuing to the next iteration.
[E]     FAILED | Iteration 3 | Duration 2.0s
[I]     Selecting first 420 layer(s) to run in higher precision
"""
    found = read(log)
    assert found.steps == [Step(480, True, 59.1), Step(240, False, 58.0), Step(360, False, 2.0, built=False)]
    assert not found.ended
    assert (found.kept, found.least) == (480, 361)


def test_a_check_is_of_the_worst_sample() -> None:
    golden = {"y": np.array([[1.0, 1.0], [1.0, 1.0]])}
    assert worst(golden, {"y": np.array([[1.0, 1.0], [1.1, 1.0]])}) == pytest.approx(10 * math.log10(200))
    assert worst(golden, golden) == 400
    assert worst(golden, {"y": np.array([[1.0, 1.0], [np.inf, 1.0]])}) == -400


def told(nodes: int, kept: int, builds: int, other: int) -> dict[str, Any]:
    ours = {"outcome": "Cured", "nodesKept": kept, "builds": builds}
    return {"nodes": nodes, "ours": ours, "theirs": {"builds": 9, "atLeast": {"layers": other + 5, "nodes": other}}}


def test_figures_are_of_what_was_cured_and_of_bounds() -> None:
    networks = {"a": told(100, 3, 2, 60), "b": told(200, 6, 3, 120), "c": told(1000, 9, 5, 900)}
    networks["c"]["latency"] = {"ratio": 0.9}
    assert [str(figure) for figure in figures_of(networks)] == [
        "gpu_repair_builds_n200 3.000 <=4 ok",
        "gpu_repair_builds_n5000 5.000 <=6 ok",
        "gpu_repair_nodes_kept_vs_polygraphy_median 0.050 <=0.1 ok",
        "gpu_repair_latency_vs_polygraphy_median 0.900 <=1 ok",
    ]
    networks["b"]["ours"] = {"outcome": "out of time"}
    assert [figure.met for figure in figures_of(networks)] == [False, False, True, True]
    assert kept_ratio(networks["a"]) == 0.05
    networks["a"]["theirs"]["broken"] = ["RuntimeError: no device"]
    assert kept_ratio(networks["a"]) is None
    networks["a"]["theirs"] = {"builds": 0, "atLeast": {"layers": 1, "nodes": 1}}
    assert kept_ratio(networks["a"]) is None


def test_networks_and_their_limits_are_of_one_list(tmp_path: Path) -> None:
    assert {name: (row.nodes, row.batch) for name, row in NETWORKS.items()} == {
        name: (row.nodes, row.batch) for name, row in LIMITS.items()
    }
    assert unknown("chain-100") == ""
    assert "got x" in unknown("chain-100,x")
    file = tmp_path / "audit.yaml"
    file.write_text(json.dumps(document("chain-100", 8, 1, "tensorrt", 2)))
    assert run_command(["validate", "-f", str(file)]) == 0


def test_a_chain_keeps_its_numbers_and_fails_in_fp16_alone(tmp_path: Path) -> None:
    prepare(Network(lambda: chain(60, 2, 16, 4), 8, 60), tmp_path)
    with np.load(tmp_path / GOLDEN) as golden:
        assert 0.5 < golden["y"].std() / np.sqrt(0.5 - 0.5 / np.pi) < 2
    spec = document("chain-60", 8, 1, "onnxruntime", 2)
    (tmp_path / "audit.yaml").write_text(json.dumps(spec))
    assert run_command(["repair", "-f", str(tmp_path / "audit.yaml"), "--out", str(tmp_path / "out")]) == 0
    note = json.loads((tmp_path / "out" / "recommended" / "recommended.json").read_text())
    assert len(note["layers"]) == 6
    assert (tmp_path / MODEL).is_file()


def test_layers_are_counted_by_their_first_output() -> None:
    def layer(words: str) -> dict[str, Any]:
        return {"Outputs": [{"Format/Datatype": words}]}

    rows = [
        layer("Row major linear FP32"),
        layer("Half NHWC8"),
        layer("Two wide BFloat16 channels"),
        layer("Int8"),
        "name",
    ]
    assert precisions(json.dumps({"Layers": rows})) == {"fp32": 1, "fp16": 1, "bf16": 1, "other": 2}


def test_a_program_and_what_it_started_end_with_their_time(tmp_path: Path) -> None:
    child = "import subprocess; p = subprocess.Popen(['sleep', '60']); print(p.pid, flush=True); p.wait()"
    assert ended_within([sys.executable, "-c", child], tmp_path, tmp_path / "log", 3) is None
    state = Path("/proc", str(int((tmp_path / "log").read_text())), "stat")
    until = time.monotonic() + 10
    # Its parent is gone: where no init waits for it, it stays as a zombie.
    while (alive := state.exists() and state.read_text().split()[2] != "Z") and time.monotonic() < until:
        time.sleep(0.05)
    assert not alive
    assert ended_within([sys.executable, "-c", "raise SystemExit(3)"], tmp_path, tmp_path / "log", 30) == 3
