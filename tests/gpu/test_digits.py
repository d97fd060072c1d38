"""The digits models in every precision, with top-1 on labels: the table that stands in the documentation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from assay_api.report import Verdict
from tests.gpu.audits import audit, run, trt
from tests.gpu.bare import inputs_and_outputs, opened
from tests.gpu.table import table

pytestmark = pytest.mark.usefixtures("gpu")

DIGITS = Path(__file__).parents[2] / "examples" / "digits"
KEEP = 0.98
CHECKS = ({"labelAccuracy": {"metric": "top1", "keep": KEEP}}, "achievedPrecision", "latency")
BATCH = 64
DATA: dict[str, Any] = {"labels": "label", "batch": BATCH}


def ptq(precision: str, name: str, folder: str = "calib", **calibration: Any) -> dict[str, Any]:
    """A candidate quantised after training."""
    return trt(precision, name, calibration={"uri": f"file://{DIGITS}/{folder}/", **calibration})


def candidates(model: str) -> list[dict[str, Any]]:
    """Every precision, every way to find ranges, and the model trained for 8 bits."""
    plain = [trt(precision) for precision in ("fp32", "tf32", "fp16", "bf16")]
    methods = ("entropy", "minmax", "percentile", "mse")
    explicit = [ptq("int8", f"int8-{method}", method=method, quantization="explicit") for method in methods]
    implicit = [ptq("int8", f"int8-implicit-{m}", method=m, quantization="implicit") for m in methods[:2]]
    fp8 = ptq("fp8", "fp8-mse", method="mse")
    qat = trt("int8", "int8-qat", model={"uri": f"file://{DIGITS}/{model}-qat.onnx"})
    return [*plain, *explicit, *implicit, fp8, qat]


@pytest.mark.parametrize("model", ["digits-cnn", "digits-vit"])
def test_every_precision_is_measured_or_says_why_not(model: str, tmp_path: Path) -> None:
    wanted = candidates(model)
    # Every tensor takes an engine more for each candidate: one of the models is enough.
    checks = ("finite", *CHECKS) if model == "digits-cnn" else CHECKS
    told = run(audit(f"{model}-gpu", DIGITS / f"{model}.onnx", DIGITS / "data", wanted, checks, **DATA), tmp_path)
    assert [c.name for c in told.report.candidates] == [c["name"] for c in wanted]
    for found in told.report.candidates:
        judged = [f.verdict for f in told.findings("labelAccuracy", found.name)]
        if found.error:
            assert found.verdict is Verdict.INCONCLUSIVE
            continue
        assert not found.emulated
        assert found.latency
        assert found.achieved, found.name
        top1, golden = found.accuracy["top1"], found.accuracy["goldenTop1"]
        if top1 < KEEP * golden:
            assert Verdict.PASSED not in judged, found.name
        if top1 >= golden:
            assert judged == [Verdict.PASSED], found.name
    # These lose nothing that labels could show, on any GPU that has them.
    for name in ("fp32", "tf32", "fp16"):
        accuracy = told.candidate(name).accuracy
        assert accuracy["top1"] == pytest.approx(accuracy["goldenTop1"], abs=0.005), name
    assert len(table([told.report]).splitlines()) == len(wanted) + 2


@pytest.mark.parametrize("quantization", ["explicit", "implicit"])
def test_the_calibration_set_decides(quantization: str, tmp_path: Path) -> None:
    """Calibrated on dim images INT8 loses labels, on representative ones it keeps them, as plain TensorRT counts."""
    inputs, labels = _data()
    top1 = {}
    for folder in ("calib", "calib-poor"):
        candidate = ptq("int8", "int8", folder, method="minmax", quantization=quantization)
        name = f"{folder}-{quantization}"
        told = run(audit(name, DIGITS / "digits-cnn.onnx", DIGITS / "data", [candidate], CHECKS[:1], **DATA), tmp_path)
        found = told.candidate("int8")
        if found.error and quantization == "implicit":
            assert found.verdict is Verdict.INCONCLUSIVE  # a TensorRT without calibrators of its own
            return
        # Each audit has an out folder, and so a cache, of its own.
        bare = opened(told.plans(), *inputs_and_outputs(DIGITS / "digits-cnn.onnx"))
        [scores] = bare.over(inputs, BATCH).values()
        top1[folder] = float((scores.argmax(1) == labels).mean())
        assert found.accuracy["top1"] == pytest.approx(top1[folder], abs=2 / len(labels))
        golden = found.accuracy["goldenTop1"]
        if top1[folder] < 0.9 * golden:
            assert told.verdict("labelAccuracy") is Verdict.FAILED
            assert told.code == 1
        if top1[folder] >= golden:
            assert told.verdict("labelAccuracy") is Verdict.PASSED
    assert top1["calib"] > top1["calib-poor"]


def _data() -> tuple[dict[str, Any], Any]:
    shards = [dict(np.load(path)) for path in sorted((DIGITS / "data").glob("*.npz"))]
    arrays = {name: np.concatenate([shard[name] for shard in shards]) for name in shards[0]}
    labels = arrays.pop("label")
    taken, _ = inputs_and_outputs(DIGITS / "digits-cnn.onnx")
    return {name: array for name, array in arrays.items() if name in taken}, labels
