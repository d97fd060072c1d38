"""An audit of a scenario, and what plain TensorRT and plain ONNX Runtime say of the very engine that it built."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray

from assay_api.report import CandidateReport, Verdict
from tests.gpu.audits import Audited, audit, measured, run, trt
from tests.gpu.bare import Bare, inputs_and_outputs, opened
from tests.scenarios import Scenario, write

__all__ = ["CHECKS", "Opinions", "agree", "audited", "opinions"]

SNR = 17.0
CHECKS: tuple[Any, ...] = (
    "finite",
    {"outputDrift": {"snr": SNR}},
    "layerDrift",
    "fp16Range",
    "achievedPrecision",
)


@dataclass(frozen=True)
class Opinions:
    """What the audit says, and what plain TensorRT and plain ONNX Runtime give.

    Attributes:
        told: the audit.
        scenario: its model and data.
        candidate: the one candidate's part of the report.
        engine: the audit's engine, opened without any code of Assay.
        output: the model's one output.
        found: what the engine gives for it, samples first.
        golden: what ONNX Runtime gives.
    """

    told: Audited
    scenario: Scenario
    candidate: CandidateReport
    engine: Bare
    output: str
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


def batch_of(scenario: Scenario) -> int:
    """Two batches or more, none so small that a builder has no use for tensor cores where the model is large."""
    samples = len(next(iter(scenario.inputs.values())))
    return max(4, min(64, samples // 2))


def audited(name: str, folder: Path, checks: Sequence[Any] = CHECKS, **fields: Any) -> tuple[Audited, Scenario]:
    """Audit a scenario with one candidate; `fields` are the candidate's."""
    scenario = write(name, folder)
    candidate = trt(**fields)
    title = f"{name}-{candidate['name']}-{candidate.get('typing', 'default')}-{candidate['build']['optimizationLevel']}"
    document = audit(title, folder / "model.onnx", folder / "data", [candidate], checks, batch=batch_of(scenario))
    return run(document, folder), scenario


def opinions(
    name: str, folder: Path, checks: Sequence[Any] = CHECKS, refusable: bool = False, **fields: Any
) -> Opinions:
    """Audit, and run the audit's engine again.

    Raises:
        Unavailable: this TensorRT says that it does not have what is asked for: weak typing, or what else is refusable.
    """
    told, scenario = audited(name, folder, checks, **fields)
    [name] = [each.name for each in told.report.candidates]
    candidate = measured(told, name, *(() if refusable else ("typing weak is asked for",)))
    engine = opened(told.plans(), *inputs_and_outputs(folder / "model.onnx"))
    session = onnxruntime.InferenceSession(str(folder / "model.onnx"), providers=["CPUExecutionProvider"])
    [output] = [each.name for each in onnx.load(str(folder / "model.onnx")).graph.output]
    [golden] = session.run([output], dict(scenario.inputs))
    found = engine.over(scenario.inputs, batch_of(scenario))[output]
    return Opinions(told, scenario, candidate, engine, output, found, golden)


def agree(both: Opinions) -> None:
    """The report says of the engine what plain TensorRT shows, and names the node where a broken one broke."""
    told, output = both.told, both.output
    messages = [f"{f.check}: {f.verdict}: {f.message}" for f in told.findings()]
    assert told.verdict("outputDrift") is (Verdict.FAILED if both.broken else Verdict.PASSED), messages
    if np.isfinite(both.found).all():
        [shown] = [each for each in both.candidate.outputs if each.name == output]
        expected = float(np.abs(both.found - both.golden).max())
        assert float(shown.metrics["maxAbs"].worst) == pytest.approx(expected, rel=0.02, abs=1e-6)
        assert not any(f.tensor == output and f.verdict is Verdict.FAILED for f in told.findings("finite")), messages
    else:
        assert any(f.verdict is Verdict.FAILED for f in told.findings("finite")), messages
    if both.broken:
        assert told.report.verdict is Verdict.FAILED
        assert told.code == 1
        assert both.scenario.node in told.failed_at(), messages
