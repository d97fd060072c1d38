"""The digits models in every precision, with top-1 on labels: the table that stands in the documentation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from assay_api.report import Verdict
from tests.gpu.audits import audit, run, trt
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
