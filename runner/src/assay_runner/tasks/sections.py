"""The parts of a report that do not come from measuring: what was audited, on what, how the reference was made."""

from __future__ import annotations

from assay_api.model import parse
from assay_api.plan import Task
from assay_api.report import CandidateReport, DatasetEntry, Finding, GoldenEntry, LeftForGpu, Report
from assay_api.result import TaskResult
from assay_runner.tasks.baseline import with_baseline
from assay_runner.tasks.context import Context
from assay_runner.tasks.environment import environment
from assay_runner.tasks.publish import by_severity, candidate_of, publish, task_result, unmeasured
from assay_runner.tasks.records import GoldenRecord


def single_report(
    task: Task,
    context: Context,
    candidate: CandidateReport,
    findings: tuple[Finding, ...] = (),
    record: GoldenRecord | None = None,
    dataset: DatasetEntry | None = None,
) -> Report:
    """The report of one candidate, measured or not."""
    return Report(
        audit=task.audit,
        run=task.run,
        task=task.key,
        created=context.created(),
        verdict=candidate.verdict,
        emulated=candidate.emulated,
        candidates=(candidate,),
        findings=by_severity(findings),
        golden=golden_section(record),
        dataset=dataset or DatasetEntry(),
        environment=environment(),
        spec=task.spec,
        reproduce=context.reproduce,
    )


def publish_unmeasured(task: Task, context: Context, error: Exception) -> TaskResult:
    """Store the report of a candidate that could not be measured, which is Inconclusive, and say why."""
    emulated = context.backend is not None and candidate_of(task).backend != context.backend
    report = single_report(task, context, unmeasured(task, str(error), emulated=emulated))
    result = task_result(task, report, publish(report, task.folder, context.store))
    return with_baseline(task, context, report, result)


def publish_left(task: Task, context: Context, left: tuple[LeftForGpu, ...]) -> TaskResult:
    """Store the report of a candidate of which an emulation can judge nothing, and say what is left for the GPU."""
    candidate = unmeasured(task, "").model_copy(update={"left": left, "error": None})
    report = single_report(task, context, candidate)
    return task_result(task, report, publish(report, task.folder, context.store))


def golden_section(record: GoldenRecord | None) -> GoldenEntry:
    """How the reference was made, for the report."""
    if record is None:
        return GoldenEntry()
    notes = {"notes": record.notes} if record.notes else {}
    entry = parse(GoldenEntry, {"uri": record.uri, "samples": record.samples, **record.details, **notes})
    if entry.provenance is None:
        return entry
    inputs = {"model": record.model, "data": record.dataset}
    made = entry.provenance.model_copy(update=inputs)
    return entry.model_copy(update={"floors": record.floors, "provenance": made})
