"""What a backend tells of its engine arrives in the report, and is judged."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from assay_api.entries import EngineEntry, EngineTensorEntry
from assay_api.report import CandidateReport, Verdict
from assay_runner.backends.subject import Subject
from assay_runner.checks.achieved_precision import AchievedPrecision
from assay_runner.evidence import EngineFacts, EngineLayer, EngineTensor
from assay_runner.golden.reference import Reference
from assay_runner.golden.run import golden_outputs
from assay_runner.passes.setting import Setting
from assay_runner.trial.measure import measure
from tests.models import Heard, Samples, loaded, mlp, random
from tests.runner.numerics.candidates import ORT, build, candidate

LAYERS = (
    EngineLayer("r", "Reformat", "FP16"),
    EngineLayer("g", "gemm", "FP32", (EngineTensor("x", "FP32 row major", (9, 8)),), (), "t", ("h1.node",)),
)


def test_engine_facts_are_reported_and_judged(tmp_path: Path) -> None:
    model, data = loaded(mlp(), tmp_path), Samples({"x": random(9, 8)})
    facts = EngineFacts(LAYERS, EngineEntry(tensorrt="10.6", build_seconds=2.5, warnings=("w",)), 4096, "weak")
    built = replace(build(model, candidate("fp16"), tmp_path), engine=facts)
    outputs = [kept for _, kept in golden_outputs(model, data, "fp32", tmp_path / "golden", Heard())]
    reference = Reference(model, data, outputs, "fp32", tmp_path)
    report, [found] = measure(Setting(Subject("fp16", ORT, built, model), reference, Heard()), (AchievedPrecision(),))
    assert found.verdict is Verdict.FAILED
    assert "its one layer ran in FP32" in found.message
    read = CandidateReport.model_validate_json(report.model_dump_json(by_alias=True))
    assert (read.achieved, read.memory, read.typing) == ({"FP32": 1}, 4096, "weak")
    assert read.engine.build_seconds == 2.5
    assert [layer.name for layer in read.engine_layers] == ["r", "g"]
    assert read.engine_layers[1].inputs == (EngineTensorEntry(name="x", format="FP32 row major", shape=(9, 8)),)
    assert read.engine_layers[1].nodes == ("h1.node",)
