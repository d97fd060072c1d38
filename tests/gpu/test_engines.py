"""What a user asks of engines: kept and taken again, adopted as they are, built as told, refused in one sentence."""

from __future__ import annotations

import ctypes
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from assay_api.report import Verdict
from assay_runner.backends.tensorrt.device import synchronize, to_host
from assay_runner.backends.tensorrt.session import opened as session_of
from tests.bench.counted import counting
from tests.gpu.audits import Audited, audit, measured, run
from tests.gpu.audits import trt as candidate_of
from tests.gpu.bare import Bare, inputs_and_outputs, opened
from tests.models import convolutions, random

pytestmark = pytest.mark.usefixtures("gpu")

NAME = "engines"
DRIFT = ({"outputDrift": {"snr": 17}},)
EVERYTHING: tuple[Any, ...] = (
    "finite",
    *DRIFT,
    "layerDrift",
    "runToRun",
    "batchInvariance",
    "extraOutput",
    "achievedPrecision",
    "latency",
)


def trt(precision: str, **more: Any) -> dict[str, Any]:
    """A candidate whose engine takes the first kernel that works: which one is of no matter here."""
    return candidate_of(precision, level=0, **more)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a small convolutional model and 40 samples."""
    onnx.save(convolutions(), str(tmp_path / "model.onnx"))
    (tmp_path / "data").mkdir()
    np.savez(tmp_path / "data" / "part-0.npz", x=random(40, 4, 9, 9, seed=1))
    return tmp_path


@pytest.fixture
def builds() -> Iterator[dict[str, float]]:
    """Counts every engine that this process builds."""
    import tensorrt

    kept = {name: getattr(tensorrt.Builder, name) for name in dir(tensorrt.Builder) if name.startswith("build_")}
    counts: dict[str, float] = {"builds": 0, "seconds": 0}
    counting(tensorrt.Builder, counts)
    yield counts
    for name, method in kept.items():
        setattr(tensorrt.Builder, name, method)


def audited(folder: Path, candidate: dict[str, Any], checks: tuple[Any, ...] = DRIFT) -> Audited:
    return run(audit(NAME, folder / "model.onnx", folder / "data", [candidate], checks, batch=16), folder)


def told_why(told: Audited, candidate: str) -> str:
    """The sentence of a candidate that was not measured."""
    found = told.candidate(candidate)
    assert found.verdict is Verdict.INCONCLUSIVE
    return found.error or " ".join(f.message for f in told.findings())


def test_every_check_judges_an_engine(folder: Path) -> None:
    told = audited(folder, trt("fp16"), EVERYTHING)
    judged = {f.check: f.verdict for f in told.findings()}
    assert set(judged) == {next(iter(c)) if isinstance(c, dict) else c for c in EVERYTHING}
    for check in ("finite", "outputDrift", "runToRun"):
        assert judged[check] is Verdict.PASSED, [f.message for f in told.findings(check)]
    found = told.candidate("fp16")
    assert found.layers
    assert found.latency
    assert found.size
    import tensorrt

    assert found.engine.tensorrt == tensorrt.__version__
    assert found.engine.gpu
    assert found.achieved
    # A kernel that reads and makes FP32 and casts inside does not tell; such are few.
    assert 2 * found.achieved.get("unknown", 0) < sum(found.achieved.values()), found.engine_layers


def test_a_second_audit_builds_nothing(folder: Path, builds: dict[str, float]) -> None:
    candidate = trt("fp16")
    first = audited(folder, candidate, EVERYTHING)
    built = builds["builds"]
    assert built >= 1
    second = audited(folder, candidate, EVERYTHING)
    assert builds["builds"] == built
    assert second.report.verdict is first.report.verdict
    worst = [told.candidate("fp16").outputs[0].metrics["snr"].worst for told in (first, second)]
    assert worst[0] == worst[1]
    audited(folder, trt("fp16") | {"build": {"optimizationLevel": 0, "workspace": "256Mi"}})
    assert builds["builds"] > built


def test_an_existing_plan_is_audited_as_it_is(folder: Path, builds: dict[str, float]) -> None:
    built = audited(folder, trt("fp16"))
    [plan] = built.plans()[:1]
    shutil.copy(plan, folder / "given.plan")
    shutil.rmtree(built.out)
    count = builds["builds"]
    given = {"name": "given", "backend": "tensorrt", "engine": {"uri": f"file://{folder}/given.plan"}}
    told = audited(folder, given)
    assert builds["builds"] == count
    assert told.verdict("outputDrift") is built.verdict("outputDrift")
    first, second = (
        each.outputs[0].metrics["snr"].worst for each in (built.candidate("fp16"), told.candidate("given"))
    )
    assert float(second) == pytest.approx(float(first), rel=1e-3)


def test_what_is_no_plan_is_one_sentence(folder: Path) -> None:
    (folder / "given.plan").write_bytes(b"ftrt but nothing else")
    given = {"name": "given", "backend": "tensorrt", "engine": {"uri": f"file://{folder}/given.plan"}}
    told = audited(folder, given)
    assert "plan" in told_why(told, "given")
    assert told.code != 0


@pytest.mark.parametrize("typing", ["weak", "strong"])
def test_weights_beside_the_model_are_built_in(typing: str, folder: Path) -> None:
    """In the engine that is served, and in those that look inside it."""
    file = str(folder / "model.onnx")
    onnx.save(convolutions(), file, save_as_external_data=True, location="model.weights", size_threshold=0)
    told = audited(folder, trt("fp16", typing=typing), (*DRIFT, "layerDrift"))
    found = measured(told, "fp16", "typing weak is asked for")
    assert told.verdict("outputDrift") is Verdict.PASSED
    assert found.layers


def test_plugins_of_a_plan_that_are_not_here_are_named(folder: Path) -> None:
    (folder / "given.plan").write_bytes(b"ftrt but nothing else")
    engine = {"uri": f"file://{folder}/given.plan", "plugins": ["/opt/none/libnone.so"]}
    told = audited(folder, {"name": "given", "backend": "tensorrt", "engine": engine})
    assert "/opt/none/libnone.so" in told_why(told, "given")


@pytest.mark.parametrize(("precision", "held"), [("fp16", "fp32"), ("fp32", "fp16")])
def test_nodes_held_to_a_precision_run_in_it_to_the_last_layer(precision: str, held: str, folder: Path) -> None:
    """The bias of a Gemm is a layer without a name: it alone in FP16 costs 60 dB."""
    told = audited(folder, trt(precision, typing="weak", layers=[{"nodes": "*", "precision": held}]))
    found = measured(told, precision, "typing weak is asked for")
    assert set(found.achieved) == {held.upper()}, found.engine_layers
    snr = float(found.outputs[0].metrics["snr"].worst)
    # TensorRT 10.6 reads the input of a kernel that computes in FP32 from a reformat to FP16: then that is told.
    slipped = any("reads its input rounded to FP16" in note for note in found.notes)
    if held == "fp32":
        assert snr > (60 if slipped else 100), (snr, found.notes)
    else:
        assert snr < 100, snr


@pytest.mark.parametrize(
    "options",
    [
        {"refit": True},
        {"flags": ["EXCLUDE_LEAN_RUNTIME"], "versionCompatible": True},
        {"hardwareCompatibility": "amperePlus"},
        {"workspace": "256Mi"},
    ],
    ids=lambda options: next(iter(options)),
)
def test_options_of_the_builder_are_taken(options: dict[str, Any], folder: Path) -> None:
    candidate = trt("fp16") | {"build": {"optimizationLevel": 0, **options}}
    told = audited(folder, candidate)
    assert told.verdict("outputDrift") is Verdict.PASSED
    if "refit" in options:
        assert opened(told.plans(), *inputs_and_outputs(folder / "model.onnx")).engine.refittable


def test_a_plan_carries_the_lean_runtime_or_its_absence_is_told(folder: Path) -> None:
    import tensorrt

    told = audited(folder, trt("fp16") | {"build": {"optimizationLevel": 0, "versionCompatible": True}})
    try:
        ctypes.CDLL(f"libnvinfer_lean.so.{tensorrt.__version__.partition('.')[0]}")
    except OSError:
        assert "EXCLUDE_LEAN_RUNTIME" in told_why(told, "fp16")
        return
    assert told.verdict("outputDrift") is Verdict.PASSED


def test_a_profile_is_what_the_engine_is_built_for(folder: Path) -> None:
    """Batches of 16, 16 and 8: no sample can run alone, which is no fault of the candidate's."""
    shapes = {"input": "x", "min": [2, 4, 9, 9], "opt": [16, 4, 9, 9], "max": [24, 4, 9, 9]}
    candidate = trt("fp16") | {"build": {"optimizationLevel": 0, "profile": [shapes]}}
    told = audited(folder, candidate, (*DRIFT, "finite", "batchInvariance"))
    assert {f.verdict for f in told.findings()} <= {Verdict.PASSED, Verdict.INCONCLUSIVE}
    assert told.verdict("outputDrift") is Verdict.PASSED
    assert any("a sample alone cannot be run" in f.message for f in told.findings("batchInvariance"))
    engine: Bare = opened(told.plans(), *inputs_and_outputs(folder / "model.onnx"))
    found = [tuple(shape) for shape in engine.engine.get_tensor_profile_shape("x", 0)]
    assert found == [tuple(shapes[key]) for key in ("min", "opt", "max")]


@pytest.mark.parametrize(
    ("options", "word"),
    [({"flags": ["NO_SUCH_FLAG"]}, "NO_SUCH_FLAG"), ({"plugins": ["/opt/none/libnone.so"]}, "/opt/none/libnone.so")],
)
def test_what_is_not_there_is_named(options: dict[str, Any], word: str, folder: Path) -> None:
    told = audited(folder, trt("fp16") | {"build": options})
    assert word in told_why(told, "fp16")
    assert told.code not in (0, 1)


class Idle:
    """An execution context that does as if it had run."""

    def __init__(self, context: Any) -> None:
        self._context = context

    def __getattr__(self, name: str) -> Any:
        return getattr(self._context, name)

    def execute_async_v3(self, stream: int) -> bool:
        return True


def test_spoilt_memory_holds_what_it_was_filled_with_and_changes_no_output(folder: Path) -> None:
    told = audited(folder, trt("fp16"))
    batch = {"x": random(16, 4, 9, 9, seed=1)}
    plan = next(p for p in told.plans() if set(Bare(p).of_mode("OUTPUT")) == {"logits"})
    with session_of(plan) as session:
        before = session.run(batch)["logits"]
        for filling in range(4):
            session.spoil(filling)
            assert session.run(batch)["logits"].tobytes() == before.tobytes()
        session.spoil(0)
        session._context = Idle(session._context)
        assert np.isnan(session.run(batch)["logits"]).all()
        scratch = to_host(session._scratch.pointer, (session._scratch.size,), np.dtype(np.uint8), session.stream)
        synchronize(session.stream)
        assert (scratch == 0xFF).all()
        assert len(scratch) >= session.device_memory
