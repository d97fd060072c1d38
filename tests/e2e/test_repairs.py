"""A candidate that fails is repaired by one more Job; one that cannot be built stalls nothing else."""

from __future__ import annotations

import io

import onnx
import pytest

from tests.e2e.data import MODELS, audit
from tests.e2e.place import Manifest, Room, condition
from tests.e2e.test_audits import fetch

CHECKS = [{"outputDrift": {}}, {"labelAccuracy": {"metric": "top1", "keep": 0.97}}]


@pytest.fixture(scope="module")
def applied(shared: Room) -> Room:
    """Both at once."""
    decomposed = {"uri": f"s3://{MODELS}/digits-vit-decomposed.onnx"}
    scan = {"uri": f"s3://{MODELS}/scan.onnx"}
    inside = shared.place.inside
    shared.apply(
        audit("cured", inside, "fp16", model=decomposed, checks=CHECKS, remedies={"precision": {}}),
        audit("unbuildable", inside, "fp32", "bf16", model=scan, checks=[{"finite": {}}, {"outputDrift": {}}]),
    )
    return shared


@pytest.fixture(scope="module")
def cured(applied: Room) -> Manifest:
    """The audit whose FP16 overflows, waited for."""
    return applied.wait("cured", "Complete", 240)


def test_what_was_cured_is_recommended_and_the_breach_stays_one(cured: Manifest) -> None:
    status = cured["status"]
    assert status["verdict"] == "Failed"
    assert condition(cured, "Complete")["reason"] == "Breached"
    assert condition(cured, "Stalled")["status"] == "True"
    assert status["recommendation"]["candidate"] == "fp16-precision"
    assert "repair" in status["recommendation"]["message"]


def test_a_repair_is_one_job_after_the_candidates(applied: Room, cured: Manifest) -> None:
    jobs = applied.objects("jobs", "assay.dev/audit=cured")
    kinds = sorted(job["metadata"]["labels"]["assay.dev/kind"] for job in jobs)
    assert kinds == ["candidate", "golden", "repair", "summary"]


def test_what_is_to_be_deployed_lies_where_the_status_says(applied: Room, cured: Manifest) -> None:
    deploy = cured["status"]["recommendation"]["deploy"]
    model = onnx.load(io.BytesIO(fetch(applied.place, deploy["model"])))
    onnx.checker.check_model(model)
    assert any(node.op_type == "Cast" for node in model.graph.node)
    assert b"trtexec" in fetch(applied.place, deploy["reproduce"])


def test_a_candidate_that_cannot_be_built_stalls_nothing_else(applied: Room) -> None:
    found = applied.wait("unbuildable", "Complete", 180)
    told = {each["name"]: each for each in found["status"]["candidates"]}
    assert told["fp32"]["verdict"] == "Passed"
    assert told["bf16"]["verdict"] == "Inconclusive"
    assert "ONNX Runtime cannot run the model" in told["bf16"]["message"]
    assert found["status"]["verdict"] == "Inconclusive"
    assert condition(found, "Complete")["reason"] == "Inconclusive"
