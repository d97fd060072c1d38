"""From a report to the store, and from there to the few bytes that a task returns.

The page, the files for CI systems and the seal go first, report.json last: whoever sees it sees a finished task.
"""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Final

from pydantic import ValidationError

from assay_api.audit import Candidate
from assay_api.finding import WorstFigure
from assay_api.model import parse
from assay_api.names import REPORT_CTRF, REPORT_HTML, REPORT_JSON, REPORT_JUNIT
from assay_api.plan import Task
from assay_api.report import CandidateReport, Finding, Report, Verdict, to_json
from assay_api.result import CureTold, DeployTold, StoredReport, TaskResult
from assay_runner.log_lines import trace
from assay_runner.report import first, render_ctrf, render_html, render_junit, results_of
from assay_runner.report.content import content_digest
from assay_runner.report.cures import best_remedies, told
from assay_runner.report.engine import achieved_text
from assay_runner.stores import join
from assay_runner.stores.sealed import Damaged
from assay_runner.tasks.seal import put_report, read_report

if TYPE_CHECKING:
    from assay_runner.stores import Store
    from assay_runner.tasks.context import Context

_ORDER: Final = (Verdict.FAILED, Verdict.INCONCLUSIVE, Verdict.PASSED)


def publish(report: Report, folder: str, store: Store) -> StoredReport:
    """Store a report below a URI in all its forms; a report that stands there already is replaced."""
    report = report.model_copy(update={"content": content_digest(report), "trace": trace()})
    page = join(folder, REPORT_HTML)
    store.put(page, render_html(report), "text/html; charset=utf-8")
    results = results_of(report)
    store.put(join(folder, REPORT_JUNIT), render_junit(results), "application/xml")
    store.put(join(folder, REPORT_CTRF), render_ctrf(results), "application/json")
    sha256 = put_report(store, folder, to_json(report))
    return StoredReport(uri=join(folder, REPORT_JSON), sha256=sha256, page=page)


def published(task: Task, store: Store, told: str | None = None) -> tuple[Report, StoredReport] | None:
    """The report that this very task has already stored, or None; `told` is the SHA-256 that the task told of it.

    Raises:
        Damaged: a report lies there, and is not as it was stored.
        Unavailable: the store does not answer, or nothing can be stored there before something is removed.
    """
    found = read_report(store, task.folder, told)
    if found is None:
        return None
    content, sha256 = found
    report = report_in(content)
    if report is None:
        return None
    if (report.audit, report.run, report.task) != (task.audit, task.run, task.key):
        return None
    uri, page = join(task.folder, REPORT_JSON), join(task.folder, REPORT_HTML)
    return report, StoredReport(uri=uri, sha256=sha256, page=page)


def report_in(content: bytes) -> Report | None:
    """The report that was written so; one of another version is read with care, and None where that does not help."""
    try:
        return Report.model_validate_json(content)
    except ValidationError:
        pass
    try:
        return parse(Report, json.loads(content))
    except (ValidationError, ValueError):
        return None


def resumed(task: Task, context: Context, notes: list[str]) -> tuple[Report, StoredReport] | None:
    """What `published` finds, where the task may be answered by it; to `notes` comes that a report was changed."""
    try:
        return published(task, context.store) if context.resume else None
    except Damaged as error:
        context.progress.note(error.note)
        notes.append(error.note)
        return None


def task_result(task: Task, report: Report, stored: StoredReport) -> TaskResult:
    """What the task tells the operator."""
    one = next(iter(report.candidates), None) if task.candidate else None
    counts = Counter(f.verdict.value for f in report.findings)
    recommendation = report.recommendation.candidate if report.recommendation else None
    deploy = report.recommendation.deploy if report.recommendation else None
    return TaskResult(
        task=task.digest,
        verdict=report.verdict,
        samples=max((c.samples for c in report.candidates), default=0),
        report=stored,
        worst=_worst(report),
        findings=dict(counts),
        latency_ms=f"{one.latency.median_ms:.3f}" if one and one.latency else None,
        typing=one.typing if one else None,
        achieved=(achieved_text(one) or None) if one else None,
        emulated=report.emulated,
        accuracy={name: f"{value:.4f}" for name, value in one.accuracy.items()} if one else {},
        recommendation=recommendation,
        recommended_because=report.recommendation.message if report.recommendation else "",
        deploy=DeployTold.of(deploy) if deploy else None,
        cures=_cures(report) if report.recommendation is None else (),
        message=_message(report),
    )


def _worst(report: Report) -> WorstFigure | None:
    finding = first(report.findings)
    return WorstFigure.of(finding) if finding else None


def _cures(report: Report) -> tuple[CureTold, ...]:
    shared = CureTold.model_fields
    return tuple(CureTold(**{name: getattr(entry, name) for name in shared}) for entry in best_remedies(report.repair))


def _message(report: Report) -> str:
    if report.repair and report.recommendation is None:
        return told(report.repair) or "no candidate could be repaired"
    failed = next(((c.name, c.error) for c in report.candidates if c.error), None)
    worst = first(f for f in report.findings if f.verdict != Verdict.PASSED)
    bad = (worst.candidate, worst.message) if worst else None
    if report.recommendation and report.verdict == Verdict.PASSED:
        return report.recommendation.message
    key, message = bad or failed or (report.task, f"{len(report.findings)} findings, all passed")
    return message if key == report.task else f"{key}: {message}"


def by_severity(findings: tuple[Finding, ...]) -> tuple[Finding, ...]:
    """Worst first; otherwise in the order given."""
    return tuple(sorted(findings, key=lambda f: _ORDER.index(f.verdict)))


def candidate_of(task: Task) -> Candidate:
    """The candidate that a task is about, which its kind says there is."""
    assert task.candidate is not None, f"task {task.key} of kind {task.kind} is about no candidate"
    return task.candidate


def unmeasured(task: Task, error: str, *, emulated: bool = False) -> CandidateReport:
    """The candidate of a task that has no measurement, and why: never passed."""
    candidate = candidate_of(task)
    return CandidateReport(
        name=task.key,
        candidate=candidate.name,
        gpu_product=task.gpu_product,
        verdict=Verdict.INCONCLUSIVE,
        backend=candidate.backend,
        precision=candidate.precision,
        typing=candidate.typing,
        emulated=emulated,
        error=error,
    )
