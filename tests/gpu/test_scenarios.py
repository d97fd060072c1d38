"""Models that break in reduced precision: what TensorRT makes of them, and whether the report says just that.

No expected verdict stands here. The engine that the audit built is run again by plain TensorRT, and the report must
agree with it: a broken model fails and its first bad node is named; one that an FP32 accumulator or a fused operator
saved passes, with the drift that was measured.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray

from assay_api.report import Verdict
from tests.gpu.audits import Audited, audit, run, trt
from tests.gpu.bare import Bare, inputs_and_outputs, opened
from tests.scenarios import Scenario, write

pytestmark = pytest.mark.usefixtures("gpu")

BATCH = 8
SNR = 17.0
CHECKS: tuple[Any, ...] = (
    "finite",
    {"outputDrift": {"snr": SNR}},
    "layerDrift",
    "fp16Range",
    "achievedPrecision",
)
NUMERIC = [
    ("decomposed-layer-norm", "fp16"),
    ("decomposed-layer-norm", "bf16"),
    ("fused-layer-norm", "fp16"),
    ("mask-1e12", "fp16"),
    ("mask-1e12", "bf16"),
    ("long-sum", "fp16"),
    ("long-softmax", "fp16"),
    ("long-softmax", "bf16"),
]


@dataclass(frozen=True)
class Opinions:
    """What the audit says, and what plain TensorRT and plain ONNX Runtime give."""

    audited: Audited
    scenario: Scenario
    engine: Bare
    found: NDArray[Any]
    golden: NDArray[Any]

    @property
    def broken(self) -> bool:
        """Whether any sample's output is not finite, or more than noise of 2 % of golden's power away from golden."""
        found, golden = (each.reshape(len(each), -1).astype(np.float64) for each in (self.found, self.golden))
        if not np.isfinite(found).all():
            return True
        noise = ((found - golden) ** 2).sum(1)
        return bool((noise > (golden**2).sum(1) / 10 ** (SNR / 10)).any())


def audited(name: str, folder: Path, checks: Any = CHECKS, **fields: Any) -> tuple[Audited, Scenario]:
    """Audit a scenario with one candidate."""
    scenario = write(name, folder)
    candidate = trt(**fields)
    title = f"{name}-{candidate['name']}"
    return run(audit(title, folder / "model.onnx", folder / "data", [candidate], checks, batch=BATCH), folder), scenario


def opinions(name: str, folder: Path, **fields: Any) -> Opinions:
    """Audit, and run the audit's engine again."""
    told, scenario = audited(name, folder, **fields)
    assert not told.candidate(fields["precision"]).error
    engine = opened(told.plans(), *inputs_and_outputs(folder / "model.onnx"))
    session = onnxruntime.InferenceSession(str(folder / "model.onnx"), providers=["CPUExecutionProvider"])
    golden = session.run(["y"], dict(scenario.inputs))[0]
    return Opinions(told, scenario, engine, engine.over(scenario.inputs, BATCH)["y"], golden)


@pytest.mark.parametrize(("name", "precision"), NUMERIC)
def test_the_report_agrees_with_plain_tensorrt(name: str, precision: str, tmp_path: Path) -> None:
    both = opinions(name, tmp_path, precision=precision)
    told = both.audited
    [output] = [each for each in told.candidate(precision).outputs if each["name"] == "y"]
    finite = told.findings("finite")
    if np.isfinite(both.found).all():
        expected = float(np.abs(both.found - both.golden).max())
        assert float(output["metrics"]["maxAbs"]["worst"]) == pytest.approx(expected, rel=0.02, abs=1e-6)
        assert not any(f.tensor == "y" and f.verdict is Verdict.FAILED for f in finite)
    else:
        assert any(f.verdict is Verdict.FAILED for f in finite)
    assert told.verdict("outputDrift") is (Verdict.FAILED if both.broken else Verdict.PASSED)
    if both.broken:
        assert told.report.verdict is Verdict.FAILED
        assert told.code == 1
        assert both.scenario.node in told.failed_at(), [f.message for f in told.findings()]


@pytest.mark.parametrize("name", ["decomposed-layer-norm", "mask-1e12", "long-sum"])
def test_what_fp16_cannot_hold_is_named_even_where_the_engine_copes(name: str, tmp_path: Path) -> None:
    told, scenario = audited(name, tmp_path, ("fp16Range",), precision="fp16")
    assert scenario.node in {f.node for f in told.findings("fp16Range")}, [f.message for f in told.findings()]


def test_8_bits_into_a_normalisation_are_named(tmp_path: Path) -> None:
    model = {"model": {"uri": f"file://{tmp_path}/model.onnx"}}
    told, scenario = audited("layer-norm-8-bits", tmp_path, ("layerConstraints", "finite"), precision="int8", **model)
    [found] = [f for f in told.findings("layerConstraints") if f.verdict is not Verdict.PASSED]
    assert found.node == scenario.node
    assert "LayerNormalization" in found.message


def test_a_scatter_whose_indices_meet_is_caught_or_cleared(tmp_path: Path) -> None:
    told, scenario = audited("meeting-scatter", tmp_path, ({"runToRun": {"runs": 10}},), precision="fp32")
    candidate = told.candidate("fp32")
    if candidate.error:
        # A parser without the operator: nothing was measured, so nothing passed.
        assert told.report.verdict is Verdict.INCONCLUSIVE
        return
    bare = opened(told.plans(), *inputs_and_outputs(tmp_path / "model.onnx"))
    runs = [bare.over(scenario.inputs, BATCH)["y"].tobytes() for _ in range(20)]
    different = sum(run != runs[0] for run in runs[1:])
    [found] = told.findings("runToRun")
    assert found.verdict in (Verdict.PASSED, Verdict.FAILED)
    if different > len(runs) // 2:
        assert (found.verdict, found.tensor) == (Verdict.FAILED, "y")
    if found.verdict is Verdict.PASSED:
        assert different <= len(runs) // 2


def test_fp16_that_came_out_as_fp32_is_said(tmp_path: Path) -> None:
    told, _ = audited("tiny", tmp_path, ("achievedPrecision", "finite"), precision="fp16", level=3, typing="weak")
    candidate = told.candidate("fp16")
    if candidate.error:
        # A TensorRT without weak typing: nothing was measured, so nothing passed.
        assert told.report.verdict is Verdict.INCONCLUSIVE
        return
    bare = opened(told.plans(), *inputs_and_outputs(tmp_path / "model.onnx"))
    layers = bare.inspected()
    half = "Half" in layers or "FP16" in layers
    assert candidate.achieved
    assert sum(candidate.achieved.values()) <= len(candidate.engine_layers)
    if not half:
        assert candidate.achieved.get("FP16", 0) == 0
    wanted = Verdict.PASSED if candidate.achieved.get("FP16", 0) else Verdict.FAILED
    assert told.verdict("achievedPrecision") is wanted
