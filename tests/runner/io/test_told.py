"""What a task tells the operator of a report: enough for `kubectl describe`, however large the report is."""

from __future__ import annotations

from assay_api.audit import AuditSpec
from assay_api.model import parse
from assay_api.plan import Task, plan
from assay_api.report import CandidateReport, Latency, Report, Verdict
from assay_api.result import StoredReport, TaskResult, to_termination_message
from assay_runner.tasks.publish import task_result

SPEC = {
    "model": {"uri": "s3://models/a.onnx"},
    "dataset": {"uri": "s3://data/d/"},
    "candidates": [{"name": "fp16", "backend": "tensorrt", "precision": "fp16"}],
    "artifacts": {"uri": "s3://audits/"},
}


def tasks() -> dict[str, Task]:
    return {task.kind: task for task in plan(parse(AuditSpec, SPEC), "a/b", output="s3://o/", cache="s3://c/")}


def told(task: Task, **fields: object) -> TaskResult:
    candidate = CandidateReport.model_validate(
        {"name": "fp16", "verdict": Verdict.PASSED, "backend": "tensorrt", "precision": "fp16", **fields}
    )
    report = Report(
        audit="a/b", run=task.run, task=task.key, created="", verdict=Verdict.PASSED, candidates=(candidate,)
    )
    return task_result(task, report, StoredReport(uri="s3://o/report.json", sha256="ab" * 32))


def test_an_engine_is_told_by_its_typing_and_by_what_its_layers_ran_in() -> None:
    latency = Latency(median_ms=0.0391, p99_ms=0.05, batch=64, runs=100)
    found = told(tasks()["candidate"], typing="weak", achieved={"FP32": 1, "FP16": 20}, latency=latency)
    assert (found.typing, found.achieved, found.latency_ms) == ("weak", "20 FP16, 1 FP32", "0.039")
    again = TaskResult.model_validate_json(to_termination_message(found))
    assert (again.typing, again.achieved) == ("weak", "20 FP16, 1 FP32")


def test_what_is_no_engine_is_told_without_and_a_summary_speaks_of_no_single_one() -> None:
    assert told(tasks()["candidate"]).achieved is None
    assert told(tasks()["summary"], typing="weak", achieved={"FP16": 1}).achieved is None
