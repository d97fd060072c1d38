"""What a repair tells in a termination message, and what the status keeps of it: bounded, whole where it counts."""

from __future__ import annotations

import pytest

from assay_api.finding import Verdict
from assay_api.model import to_wire
from assay_api.names import STATUS_BYTES, TERMINATION_MESSAGE_BYTES
from assay_api.repair import Deployable
from assay_api.result import CureTold, DeployTold, StoredReport, TaskResult, to_termination_message
from assay_api.status import AuditStatus, CandidateStatus, CureStatus, RecommendationStatus, RepairStatus
from assay_operator.audits.size import fitted, size

FOLDER = f"s3://audits/{'x' * 900}/repair/fp16-precision"
WHOLE = Deployable(
    model=f"{FOLDER}/model.onnx", weights=f"{FOLDER}/weights.bin", timing_cache=f"{FOLDER}/timing.cache",
    plan=f"{FOLDER}/model.plan", reproduce=f"{FOLDER}/reproduce.sh",
)  # fmt: skip


@pytest.mark.parametrize(
    "deploy", [WHOLE, WHOLE.model_copy(update={"weights": "s3://elsewhere/w.bin"}), Deployable(model="file:///m.onnx")]
)
def test_what_to_deploy_comes_whole_through_few_bytes(deploy: Deployable) -> None:
    told = DeployTold.of(deploy)
    assert told is not None
    assert told.whole() == deploy


def test_of_what_a_newer_runner_tells_the_known_is_read() -> None:
    assert DeployTold(folder="s3://b/f", files={"model": "m.onnx", "recipe": "r"}).whole() == Deployable(
        model="s3://b/f/m.onnx"
    )
    assert DeployTold.of(Deployable()) is None


def test_a_summary_with_long_addresses_fits_and_keeps_them() -> None:
    stored = StoredReport(uri=f"{FOLDER}/report.json", sha256="ab" * 32, page=f"{FOLDER}/report.html")
    result = TaskResult(
        task="0" * 12, verdict=Verdict.FAILED, report=stored, recommendation="fp16-precision",
        recommended_because="because " * 400, message="m" * 3000, deploy=DeployTold.of(WHOLE),
    )  # fmt: skip
    text = to_termination_message(result)
    assert len(text.encode()) <= TERMINATION_MESSAGE_BYTES
    read = TaskResult.model_validate_json(text)
    assert read.deploy is not None
    assert read.deploy.whole() == WHOLE
    assert read.report == stored


def test_a_repair_of_many_fits() -> None:
    cures = tuple(
        CureTold(candidate=f"{'c' * 36}-{n:02}@{'P' * 63}", remedy="precision", outcome="Cured", repaired="r" * 110)
        for n in range(32)
    )
    text = to_termination_message(TaskResult(task="0" * 12, verdict=Verdict.PASSED, cures=cures, message="m" * 4000))
    assert len(text.encode()) <= TERMINATION_MESSAGE_BYTES
    assert TaskResult.model_validate_json(text).cures


def test_the_largest_status_with_repairs_is_small_enough() -> None:
    cures = tuple(
        CureStatus(candidate="c" * 100, remedy="precision", outcome="Cured", repaired="r" * 110) for _ in "x" * 32
    )
    repairs = tuple(
        RepairStatus(
            name=f"repair@{'P' * 60}{n:02}", state="Finished", message="m" * 1000, cures=cures,
            report_uri=f"s3://audits/{'x' * 900}/{n}/report.json", report_sha256="ab" * 32,
        )
        for n in range(32)
    )  # fmt: skip
    candidates = tuple(
        CandidateStatus(name=f"c{n}", state="Finished", verdict="Passed", message="m" * 500) for n in range(128)
    )
    recommendation = RecommendationStatus(candidate="fp16-precision", message="because", deploy=WHOLE)
    status = fitted(
        AuditStatus(observed_generation=1, candidates=candidates, repairs=repairs, recommendation=recommendation)
    )
    assert size(status) < STATUS_BYTES
    assert len(status.repairs) == 32
    assert status.recommendation == recommendation
    assert "deploy" in to_wire(status)["recommendation"]
