"""How long a batch takes and what it needs: by whose clock, and which limit is breached."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import onnx
import pytest

from assay_api.model import parse
from assay_api.report import Finding, Verdict
from assay_runner.backends import Backend, Built, Session
from assay_runner.backends.onnxruntime import OnnxRuntime
from assay_runner.backends.subject import Subject
from assay_runner.checks import CHECKS, Check
from assay_runner.evidence import EngineFacts, TimingWanted
from assay_runner.passes.timing import timed
from assay_runner.tensors import Array, Arrays
from assay_runner.trial.measure import Measured
from tests.models import Heard, Samples, loaded, mlp, random
from tests.runner.numerics.candidates import ORT, build, candidate, measured
from tests.runner.numerics.unsteady import Altering
from tests.wire import details

PASSED, FAILED, INCONCLUSIVE = Verdict.PASSED, Verdict.FAILED, Verdict.INCONCLUSIVE


def check(name: str, **given: Any) -> Check:
    return parse(CHECKS[name], given)


def judged(proto: onnx.ModelProto, data: Samples, folder: Path, made: Check, precision: str = "fp32") -> list[Finding]:
    return list(measured(proto, precision, data, folder, made).findings)


def altered(backend: Backend, data: Samples, folder: Path, *checks: Check) -> Measured:
    return measured(mlp(), "fp32", data, folder, *checks, backend=backend)


def test_a_session_with_a_clock_is_timed_by_it(tmp_path: Path) -> None:
    data = Samples({"x": random(20, 8)}, batch=8)
    result = altered(Altering("", 0), data, tmp_path, check("latency", medianMs=60, throughput=100, warmUp=3))
    [found] = result.findings
    assert (found.verdict, found.metric, found.value) == (PASSED, "medianMs", 50.5)
    assert "device time, copies excluded; p99 100 ms" in found.message
    assert details(found)["deviceMemoryMB"] == 123
    assert result.report.latency is not None
    assert (result.report.latency.batch, result.report.latency.runs, result.report.latency.p99_ms) == (8, 100, 100)
    assert result.report.latency.throughput == pytest.approx(8000 / 50.5)
    assert result.report.memory == 123_000_000


LIMITS: Mapping[str, tuple[dict[str, Any], Verdict, str]] = {
    "slow": ({"medianMs": 50}, FAILED, "medianMs is 50.5, must be at most 50"),
    "slow now and then": ({"medianMs": 60, "p99Ms": 99}, FAILED, "p99Ms is 100, must be at most 99"),
    "too few": ({"throughput": 159}, FAILED, "throughput is 158.4, must be at least 159"),
    "large": ({"engineMB": 1e-6, "deviceMemoryMB": 1}, FAILED, "further limits breached: deviceMemoryMB"),
    "no limit": ({}, PASSED, "no limit is set"),
}


@pytest.mark.parametrize("case", LIMITS)
def test_limits_of_time_and_memory(case: str, tmp_path: Path) -> None:
    given, verdict, message = LIMITS[case]
    [found] = altered(Altering("", 0), Samples({"x": random(8, 8)}), tmp_path, check("latency", **given)).findings
    assert found.verdict is verdict
    assert message in found.message


DATA = Samples({"x": random(8, 8)})


def test_weights_beside_the_model_are_part_of_its_size(tmp_path: Path) -> None:
    made = loaded(mlp(), tmp_path)
    built = build(made, candidate("fp32"), tmp_path)
    outside = tmp_path / "outside"
    outside.mkdir()
    proto = onnx.load(str(built.path))
    onnx.save(proto, str(outside / "m.onnx"), save_as_external_data=True, location="w.bin", size_threshold=0)
    found = timed(Subject("c", ORT, replace(built, path=outside / "m.onnx"), made), DATA, TimingWanted(1, 0), Heard())
    assert found.engine == sum(path.stat().st_size for path in outside.iterdir())


@pytest.mark.parametrize(("given", "verdict"), [({"medianMs": 1e9}, INCONCLUSIVE), ({}, PASSED)])
def test_an_emulation_meets_no_limit(given: dict[str, Any], verdict: Verdict, tmp_path: Path) -> None:
    [found] = judged(mlp(), Samples({"x": random(8, 8)}), tmp_path, check("latency", runs=3, **given), "fp16")
    assert found.verdict is verdict
    assert "emulation" in found.message


def test_an_emulation_is_timed_a_few_times_unless_the_audit_says_how_often(tmp_path: Path) -> None:
    made = loaded(mlp(), tmp_path)
    emulated = Subject("c", ORT, build(made, candidate("fp16"), tmp_path), made)
    for asked, timed_runs in ((TimingWanted(), 10), (TimingWanted(3, 0), 3), (TimingWanted(100, 10), 100)):
        found = timed(emulated, DATA, asked, Heard())
        assert (found.emulated, len(found.milliseconds)) == (True, timed_runs)


def test_without_a_clock_the_wall_clock_counts(tmp_path: Path) -> None:
    made = loaded(mlp(), tmp_path)
    built = build(made, candidate("fp32"), tmp_path)
    found = timed(Subject("c", ORT, built, made), DATA, TimingWanted(4, 2), Heard())
    assert (len(found.milliseconds), found.rows, found.device, found.memory) == (4, 8, False, None)
    assert min(found.milliseconds) > 0
    engine = replace(built, engine=EngineFacts((), memory=7))
    assert timed(Subject("c", ORT, engine, made), DATA, TimingWanted(1, 0), Heard()).memory == 7
    unknown = check("latency", deviceMemoryMB=5, runs=3)
    [judgement] = judged(mlp(), Samples({"x": random(8, 8)}), tmp_path / "again", unknown)
    assert judgement.verdict is INCONCLUSIVE


class Clock:
    """In the place of the wall's, by which any run is slow now and then on a machine that others use too."""

    def __init__(self) -> None:
        self.now = 0.0

    def perf_counter(self) -> float:
        self.now += 1e-4
        return self.now


class Slow(OnnxRuntime):
    """Takes its time in some runs of a session, by their numbers."""

    def __init__(self, clock: Clock, *runs: int) -> None:
        self._clock, self._runs = clock, runs

    @contextmanager
    def open(self, built: Built) -> Iterator[Session]:
        with super().open(built) as session:
            yield Sleeping(session, self._clock, self._runs)


class Sleeping:
    def __init__(self, session: Session, clock: Clock, runs: tuple[int, ...]) -> None:
        self._session, self._clock, self._runs, self._ran = session, clock, runs, 0

    def run(self, inputs: Arrays) -> dict[str, Array]:
        self._clock.now += SLEEP * (self._ran in self._runs)
        self._ran += 1
        return self._session.run(inputs)


SLEEP = 0.2
"""Seconds."""


@pytest.mark.parametrize(
    ("samples", "slow", "runs", "is_slow"),
    [(28, 0, 2, False), (28, 2, 2, True), (28, 3, 2, False), (6, 0, 1, True)],
    ids=["the first run warms up", "later runs count", "a shorter batch does not", "the only run does"],
)
def test_without_the_check_full_batches_after_the_first_are_timed(
    samples: int, slow: int, runs: int, is_slow: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, clock = Samples({"x": random(samples, 8)}, batch=8), Clock()
    monkeypatch.setattr("assay_runner.trial.trial.time", clock)
    found = altered(Slow(clock, slow), data, tmp_path, check("outputDrift")).report.latency
    assert found is not None
    assert (found.runs, found.batch) == (runs, min(samples, 8))
    assert (found.p99_ms > 1000 * SLEEP / 2) is is_slow
