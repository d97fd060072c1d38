"""The benchmarks judge others; these tests judge them: the arithmetic, the process measurement, the networks."""

from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from assay_runner.cores import cores
from tests.bench.bare import batches, tapped_model, threads
from tests.bench.figures import Figure, median_ratio, percentile, report
from tests.bench.files import DATA, INPUT, MODEL
from tests.bench.networks import write
from tests.bench.programs import ROOT, ProgramFailed, run_program


@pytest.mark.parametrize(
    ("figure", "line"),
    [
        (Figure("wall", 1.149, 1.15), "wall 1.149 <=1.15 ok"),
        (Figure("wall", 1.151, 1.15), "wall 1.151 <=1.15 MISS"),
        (Figure("growth", -3.0, 50, unit="MB"), "growth -3.000MB <=50MB ok"),
        (Figure("rate", 0.39, 0.4, at_most=False), "rate 0.390 >=0.4 MISS"),
        (Figure("rate", 0.4, 0.4, at_most=False), "rate 0.400 >=0.4 ok"),
        (Figure("writes", math.nan, 0), "writes nan <=0 MISS"),
        (Figure("rate", math.nan, 0.4, at_most=False), "rate nan >=0.4 MISS"),
    ],
)
def test_a_figure_says_whether_its_goal_is_met(figure: Figure, line: str) -> None:
    assert str(figure) == line
    assert len(line.split()) == 4


def broken() -> Iterator[Figure]:
    yield Figure("before", 1, 2)
    raise ProgramFailed("the program died")


def test_one_miss_or_nothing_measured_fails_the_run() -> None:
    good, bad = Figure("good", 1, 2), Figure("bad", 3, 2)
    assert report([[good], [good]]) == 0
    assert report([[bad], [good]]) == 1
    assert report([[]]) == 1


def test_what_cannot_be_measured_fails_the_run_and_leaves_the_rest(capsys: pytest.CaptureFixture[str]) -> None:
    assert report([broken(), [Figure("after", 1, 2)]]) == 1
    shown = capsys.readouterr()
    assert shown.out.splitlines() == ["before 1.000 <=2 ok", "after 1.000 <=2 ok"]
    assert shown.err == "bench: not measured: the program died\n"


@pytest.mark.parametrize(
    ("values", "share", "expected"),
    [([5.0], 0.99, 5), (list(range(1, 101)), 0.99, 99), (list(range(1, 101)), 0.5, 50), ([3, 1, 2], 0.99, 3)],
)
def test_percentile_is_a_measured_value(values: list[float], share: float, expected: float) -> None:
    assert percentile(values, share) == expected


@pytest.mark.parametrize("quota", ["max 100000\n", "150000 100000\n", "1000 100000\n", "6400000 100000\n"])
def test_bare_programs_take_as_many_threads_as_the_runner(quota: str, tmp_path: Path) -> None:
    (tmp_path / "cpu.max").write_text(quota)
    assert threads(tmp_path / "cpu.max") == cores(tmp_path / "cpu.max")
    assert threads(tmp_path / "there-is-none") == cores(tmp_path / "there-is-none")


def test_bare_programs_load_nothing_that_they_do_not_use() -> None:
    words = [sys.executable, "-c", "import sys, tests.bench.bare_gpu; print({'onnx', 'pydantic'} & set(sys.modules))"]
    assert subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True).stdout == "set()\n"


def test_ratio_is_taken_pair_by_pair() -> None:
    # The machine halved its speed for the second pair: no ratio changes.
    assert median_ratio([2, 4, 2], [1, 2, 1]) == 2


MEASURE = """
import sys
from pathlib import Path
from tests.bench.programs import run_program
for size in (300_000, 500_000_000):
    used = run_program([sys.executable, "-c", f"b'x' * {size}; bytes({size}).count(1)"], Path(sys.argv[1]))
    print(used.peak_mb, used.seconds)
"""


def test_a_program_is_charged_for_its_own_memory_and_time(tmp_path: Path) -> None:
    # From a small process, as the benchmarks do: what this one holds would count into the peak of its children.
    words = [sys.executable, "-c", MEASURE, str(tmp_path / "log")]
    done = subprocess.run(words, cwd=ROOT, text=True, capture_output=True, check=True)
    (_, held), (peak, more) = (map(float, line.split()) for line in done.stdout.splitlines())
    assert 500 < peak < 550
    assert 0 < held < more


def test_a_program_that_fails_is_no_measurement(tmp_path: Path) -> None:
    with pytest.raises(ProgramFailed, match="3:\nno luck"):
        run_program([sys.executable, "-c", "print('no luck'); raise SystemExit(3)"], tmp_path / "log")


@pytest.mark.parametrize(
    ("network", "size", "convolutions", "millions"),
    [("resnet50", 32, 53, 25.6), ("sixty", 8, 60, 2.19), ("maps", 16, 3, 0)],
)
def test_networks_are_what_they_are_called(
    network: str, size: int, convolutions: int, millions: float, tmp_path: Path
) -> None:
    write(network, tmp_path, size, samples=5, shard=4)
    model = onnx.load(tmp_path / MODEL)
    assert sum(node.op_type == "Conv" for node in model.graph.node) == convolutions
    assert sum(math.prod(weight.dims) for weight in model.graph.initializer) / 1e6 == pytest.approx(millions, abs=0.05)
    assert [len(np.load(shard)[INPUT]) for shard in sorted((tmp_path / DATA).iterdir())] == [4, 1]

    session = onnxruntime.InferenceSession(tapped_model(tmp_path / MODEL))
    assert len(session.get_outputs()) == len(model.graph.node)
    for feeds in batches(tmp_path, 4):
        for name, values in zip((o.name for o in session.get_outputs()), session.run(None, feeds), strict=True):
            assert np.isfinite(values).all(), name
            assert 0.01 < values.std() < 100, name
