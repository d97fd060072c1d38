"""From a report to the store, and from there to the few bytes that a task returns.

The page and the JUnit file go first, report.json last: whoever sees report.json sees a finished task.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from typing import TYPE_CHECKING, Final

from pydantic import ValidationError

from assay_api.audit import Candidate
from assay_api.finding import WorstFigure
from assay_api.model import parse
from assay_api.names import REPORT_HTML, REPORT_JSON, REPORT_JUNIT
from assay_api.plan import Task
from assay_api.report import CandidateReport, Finding, Report, Verdict, to_json
from assay_api.result import StoredReport, TaskResult
from assay_runner.report import first, render_html, render_junit
from assay_runner.report.engine import achieved_text
from assay_runner.stores import join

if TYPE_CHECKING:
    from assay_runner.stores import Store

_ORDER: Final = (Verdict.FAILED, Verdict.INCONCLUSIVE, Verdict.PASSED)


def publish(report: Report, folder: str, store: Store) -> StoredReport:
    """Store a report below a URI in all its forms; a report that stands there already is replaced."""
    content = to_json(report)
    page = join(folder, REPORT_HTML)
    store.put(page, render_html(report), "text/html; charset=utf-8")
    store.put(join(folder, REPORT_JUNIT), render_junit(report), "application/xml")
    uri = join(folder, REPORT_JSON)
    store.put(uri, content, "application/json")
    return StoredReport(uri=uri, sha256=hashlib.sha256(content).hexdigest(), page=page)


def published(task: Task, store: Store) -> tuple[Report, StoredReport] | None:
    """The report that this very task has already stored, or None."""
    uri = join(task.folder, REPORT_JSON)
    if store.stat(uri) is None:
        return None
    content = store.read(uri)
    try:
        report = parse(Report, json.loads(content))
    except (ValidationError, ValueError):
        return None
    if (report.audit, report.run, report.task) != (task.audit, task.run, task.key):
        return None
    stored = StoredReport(uri=uri, sha256=hashlib.sha256(content).hexdigest(), page=join(task.folder, REPORT_HTML))
    return report, stored


def task_result(task: Task, report: Report, stored: StoredReport) -> TaskResult:
    """What the task tells the operator."""
    one = next(iter(report.candidates), None) if task.candidate else None
    counts = Counter(f.verdict.value for f in report.findings)
    recommendation = report.recommendation.candidate if report.recommendation else None
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
        message=_message(report),
    )


def _worst(report: Report) -> WorstFigure | None:
    finding = first(report.findings)
    return WorstFigure.of(finding) if finding else None


def _message(report: Report) -> str:
    failed = next(((c.name, c.error) for c in report.candidates if c.error), None)
    bad = next(((f.candidate, f.message) for f in by_severity(report.findings) if f.verdict != Verdict.PASSED), None)
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
