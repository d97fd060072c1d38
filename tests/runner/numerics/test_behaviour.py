"""Outputs under other circumstances: what changes with the batch, the session or one more output is named."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper

from assay_api.model import parse
from assay_api.report import Finding, Verdict
from assay_runner.backends import Backend, Built, Session
from assay_runner.backends.onnxruntime import OnnxRuntime
from assay_runner.behaviour_evidence import Condition
from assay_runner.checks import CHECKS, Check
from assay_runner.evidence import EngineFacts
from assay_runner.graphs.documents import load_graph
from assay_runner.graphs.taps import custom_sites
from assay_runner.measure import Measured
from assay_runner.passes.repeats import repeat
from assay_runner.passes.timing import timed
from assay_runner.tensors import Array, Arrays
from tests.models import Heard, Samples, constant, convolutions, embedding, loaded, mlp, model, node, random, value
from tests.runner.numerics.candidates import ORT, build, candidate, measured

PASSED, FAILED, INCONCLUSIVE = Verdict.PASSED, Verdict.FAILED, Verdict.INCONCLUSIVE


def check(name: str, **given: Any) -> Check:
    return parse(CHECKS[name], given)


def judged(proto: onnx.ModelProto, data: Samples, folder: Path, made: Check, precision: str = "fp32") -> list[Finding]:
    return list(measured(proto, precision, data, folder, made).findings)


def normalised_over_the_batch() -> onnx.ModelProto:
    """Takes the mean over the batch away: what a sample gives depends on its neighbours."""
    return model(
        [node("ReduceMean", "x", "mean", axes=[0]), node("Sub", "x mean", "y")],
        [value("x", "N", 4)],
        [value("y", "N", 4)],
    )


def numbered(factor: float) -> onnx.ModelProto:
    """Adds to each row its number times `factor`: copies of one sample give other rows."""
    return model(
        [
            node("Mul", "x zero", "nothing"),
            node("Add", "nothing factor", "step"),
            node("CumSum", "step axis", "row"),
            node("Add", "x row", "y"),
        ],
        [value("x", "N", 4)],
        [value("y", "N", 4)],
        [constant("axis", np.int64(0)), constant("factor", np.float32(factor)), constant("zero", np.float32(0))],
    )


def test_a_mean_over_the_batch_is_found_by_samples_run_alone(tmp_path: Path) -> None:
    data = Samples({"x": random(16, 4) + 3})
    rows, alone = sorted(
        judged(normalised_over_the_batch(), data, tmp_path, check("batchInvariance")),
        key=lambda f: "alone" in f.message,
    )
    # Each sample alone is its own mean: all zero, which copies of one sample are too.
    assert rows.verdict is PASSED
    assert (alone.verdict, alone.tensor, alone.node, alone.metric) == (FAILED, "y", "y.node", "snr")
    assert alone.value is not None
    assert alone.value < 17
    assert "in sample " in alone.message


def test_rows_that_depend_on_their_place_are_found_by_copies(tmp_path: Path) -> None:
    found = judged(numbered(10.0), Samples({"x": random(8, 4)}), tmp_path, check("batchInvariance", batches=1))
    assert [f.verdict for f in found] == [FAILED, FAILED]
    rows = next(f for f in found if "each other" in f.message)
    assert "in row 7 of copies of sample 0, the worst of 8 rows" in rows.message


@pytest.mark.parametrize(("exact", "verdict"), [(False, PASSED), (True, FAILED)])
def test_small_differences_fail_only_where_bits_are_asked_for(exact: bool, verdict: Verdict, tmp_path: Path) -> None:
    made = check("batchInvariance", exact=exact)
    found = judged(numbered(1e-4), Samples({"x": random(8, 4)}), tmp_path, made)
    assert {f.verdict for f in found} == {verdict}
    assert {f.metric for f in found} == {"otherBits" if exact else "snr"}


@pytest.mark.parametrize("proto", [mlp, convolutions, embedding])
def test_models_that_keep_samples_apart_are_invariant(proto: Any, tmp_path: Path) -> None:
    arrays: dict[Any, dict[str, Array]] = {
        mlp: {"x": random(12, 8)},
        convolutions: {"x": random(12, 4, 9, 9)},
        embedding: {"ids": np.random.default_rng(0).integers(0, 10, (12, 3))},
    }
    found = judged(proto(), Samples(arrays[proto]), tmp_path, check("batchInvariance"), "fp16")
    assert {f.verdict for f in found} == {PASSED}
    assert len(found) == 2 * len(proto().graph.output)


def test_a_fixed_batch_says_what_was_left_out(tmp_path: Path) -> None:
    proto = model([node("Relu", "x", "y")], [value("x", 4, 3)], [value("y", 4, 3)])
    data = Samples({"x": random(6, 3)}, batch=4, fixed=True)
    [found] = judged(proto, data, tmp_path, check("batchInvariance"))
    assert found.verdict is PASSED
    assert "batch is fixed at 4, so no sample was run alone" in found.message


def test_batches_of_one_are_inconclusive(tmp_path: Path) -> None:
    [found] = judged(mlp(), Samples({"x": random(3, 8)}, batch=1), tmp_path, check("batchInvariance"))
    assert found.verdict is INCONCLUSIVE
    assert "raise dataset.batch" in found.message


def test_one_more_output_changes_nothing_here(tmp_path: Path) -> None:
    for precision in ("fp32", "fp16"):
        data = Samples({"x": random(10, 4, 9, 9)})
        [found] = judged(convolutions(), data, tmp_path / precision, check("extraOutput"), precision)
        assert found.verdict is PASSED
        assert "with tensor 'r' of node 'r.node' (Relu) as one more output" in found.message
    [found] = judged(convolutions(), data, tmp_path / "named", check("extraOutput", tensor="c"))
    assert "tensor 'c'" in found.message


@pytest.mark.parametrize(
    ("proto", "given", "message"),
    [
        (mlp(), {"tensor": "nothing"}, "no tensor 'nothing'"),
        (model([node("Relu", "x", "y")], [value("x", "N", 8)], [value("y", "N", 8)]), {}, "no tensor but its outputs"),
    ],
)
def test_an_output_that_cannot_be_added(proto: onnx.ModelProto, given: Any, message: str, tmp_path: Path) -> None:
    [found] = judged(proto, Samples({"x": random(6, 8)}), tmp_path, check("extraOutput", **given))
    assert found.verdict is INCONCLUSIVE
    assert message in found.message


class Altering(OnnxRuntime):
    """ONNX Runtime whose answers change with the circumstances named, by so much; its clock is made up."""

    def __init__(self, circumstance: str, by: float) -> None:
        self.circumstance, self.by, self.opened = circumstance, by, 0

    @contextmanager
    def open(self, built: Built) -> Iterator[Session]:
        self.opened += 1
        with super().open(built) as session:
            yield Altered(session, self.by if self.circumstance == "newSession" and self.opened > 2 else 0)

    @contextmanager
    def open_with_output(self, built: Built, tensor: str) -> Iterator[Session]:
        with super().open_with_output(built, tensor) as session:
            yield Altered(session, self.by if self.circumstance == "extra output" else 0)


class Altered:
    def __init__(self, session: Session, by: float) -> None:
        self._session, self._by, self.ran = session, by, 0

    def run(self, inputs: Arrays) -> dict[str, Array]:
        self.ran += 1
        return {name: a + np.asarray(self._by, a.dtype) for name, a in self._session.run(inputs).items()}

    def time(self, inputs: Arrays, runs: int) -> tuple[float, ...]:
        return tuple(float(run) for run in range(1, runs + 1))

    @property
    def device_memory(self) -> int:
        return 123_000_000


def altered(backend: Backend, data: Samples, folder: Path, *checks: Check) -> Measured:
    return measured(mlp(), "fp32", data, folder, *checks, backend=backend)


@pytest.mark.parametrize(("by", "exact", "verdict"), [(9, False, FAILED), (1e-4, False, PASSED), (1e-4, True, FAILED)])
def test_an_engine_that_changes_with_one_more_output(by: float, exact: bool, verdict: Verdict, tmp_path: Path) -> None:
    made = check("extraOutput", exact=exact)
    [found] = altered(Altering("extra output", by), Samples({"x": random(9, 8)}), tmp_path, made).findings
    assert (found.verdict, found.tensor) == (verdict, "logits")


def test_a_new_session_that_differs_is_named_alone(tmp_path: Path) -> None:
    made = check("runToRun", conditions=["sameSession", "newSession"])
    [found] = altered(Altering("newSession", 1), Samples({"x": random(9, 8)}), tmp_path, made).findings
    assert found.verdict is FAILED
    assert "output 'logits' of batch 0 has other bits in a new session, by up to 1:" in found.message
    assert {d["condition"] for d in found.details["differences"]} == {"newSession"}


def test_every_condition_holds_for_onnx_runtime(tmp_path: Path) -> None:
    [found] = judged(mlp(), Samples({"x": random(9, 8)}), tmp_path, check("runToRun", batches=2))
    assert found.verdict is PASSED
    assert "(one session, a new session, a new process, under load)" in found.message


def test_a_condition_that_is_not_offered_is_no_pass(tmp_path: Path) -> None:
    made = check("runToRun", conditions=["sameSession", "otherStream"])
    [found] = judged(mlp(), Samples({"x": random(9, 8)}), tmp_path, made)
    assert found.verdict is INCONCLUSIVE
    assert "otherStream could not be tried: backend onnxruntime does not offer it" in found.message


def test_a_process_that_fails_is_one_sentence(tmp_path: Path) -> None:
    made = loaded(mlp(), tmp_path)
    built = build(made, candidate("fp32"), tmp_path)
    built = replace(built, path=Path(shutil.copy(built.path, tmp_path / "run.onnx")))
    sites = {site.tensor: site for site in ORT.sites(built)}

    class Vanishing(OnnxRuntime):
        @contextmanager
        def open(self, given: Built) -> Iterator[Session]:
            with super().open(given) as session:
                os.replace(built.path, tmp_path / "elsewhere.onnx")
                yield session

    only: tuple[Condition, ...] = ("newProcess",)
    found = repeat(Vanishing(), built, Samples({"x": random(9, 8)}), sites, (2, 1, only), Heard())
    assert not found.differences
    assert not found.tried
    assert found.untried["newProcess"].startswith("a new process could not run the candidate: ")
    assert "\n" not in found.untried["newProcess"]


def test_operators_that_are_not_onnx_are_plugins(tmp_path: Path) -> None:
    proto = mlp()
    proto.graph.node.append(helper.make_node("Mine", ["logits"], ["z"], name="z.node", domain="my.plugins"))
    onnx.save(proto, str(tmp_path / "m.onnx"))
    assert [site.node for site in custom_sites(load_graph(tmp_path / "m.onnx"))] == ["z.node"]


def test_a_session_with_a_clock_is_timed_by_it(tmp_path: Path) -> None:
    data = Samples({"x": random(20, 8)}, batch=8)
    result = altered(Altering("", 0), data, tmp_path, check("latency", medianMs=60, throughput=100, warmUp=3))
    [found] = result.findings
    assert (found.verdict, found.metric, found.value) == (PASSED, "medianMs", 50.5)
    assert "device time, copies excluded; p99 100 ms" in found.message
    assert found.details["deviceMemoryMB"] == 123
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


def test_weights_beside_the_model_are_part_of_its_size(tmp_path: Path) -> None:
    built = build(loaded(mlp(), tmp_path), candidate("fp32"), tmp_path)
    outside = tmp_path / "outside"
    outside.mkdir()
    proto = onnx.load(str(built.path))
    onnx.save(proto, str(outside / "m.onnx"), save_as_external_data=True, location="w.bin", size_threshold=0)
    found = timed(ORT, replace(built, path=outside / "m.onnx"), Samples({"x": random(8, 8)}), 1, 0, Heard())
    assert found.engine == sum(path.stat().st_size for path in outside.iterdir())


@pytest.mark.parametrize(("given", "verdict"), [({"medianMs": 1e9}, INCONCLUSIVE), ({}, PASSED)])
def test_an_emulation_meets_no_limit(given: dict[str, Any], verdict: Verdict, tmp_path: Path) -> None:
    [found] = judged(mlp(), Samples({"x": random(8, 8)}), tmp_path, check("latency", runs=3, **given), "fp16")
    assert found.verdict is verdict
    assert "emulation" in found.message


def test_without_a_clock_the_wall_clock_counts(tmp_path: Path) -> None:
    built = build(loaded(mlp(), tmp_path), candidate("fp32"), tmp_path)
    found = timed(ORT, built, Samples({"x": random(8, 8)}), 4, 2, Heard())
    assert (len(found.milliseconds), found.rows, found.device, found.memory) == (4, 8, False, None)
    assert min(found.milliseconds) > 0
    engine = replace(built, engine=EngineFacts((), memory=7))
    assert timed(ORT, engine, Samples({"x": random(8, 8)}), 1, 0, Heard()).memory == 7
    unknown = check("latency", deviceMemoryMB=5, runs=3)
    [judgement] = judged(mlp(), Samples({"x": random(8, 8)}), tmp_path / "again", unknown)
    assert judgement.verdict is INCONCLUSIVE
