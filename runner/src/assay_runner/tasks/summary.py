"""The summary task: the audit's own report, made from its candidates' reports, with what to ship.

A candidate's report counts only while it is the one that the candidate's task told of. So an earlier summary is no
short cut: it is made again from the candidates' reports, which costs little, and kept where it is the same.
"""

from __future__ import annotations

from assay_api.names import REPORT_JSON
from assay_api.plan import GOLDEN, Task
from assay_api.report import CandidateReport, Report, to_json, worst
from assay_api.result import StoredReport, TaskResult
from assay_runner.errors import Unavailable
from assay_runner.publish import publish, published, task_result, unmeasured
from assay_runner.stores import join
from assay_runner.tasks.context import Context
from assay_runner.tasks.environment import environment
from assay_runner.tasks.recommendation import recommend
from assay_runner.tasks.records import read_record
from assay_runner.tasks.sections import golden_section, spec_section


def run_summary(task: Task, context: Context) -> TaskResult:
    """Gather the candidates' reports, publish the audit's, and recommend a candidate.

    A candidate without a report, or with another one than its task stored, is Inconclusive, by name: what nobody
    measured has not passed.

    Raises:
        Unavailable: the store does not answer.
    """
    done = published(task, context.store) if context.resume else None
    reports, candidates, changed = _gathered(task, context)
    report = Report(
        audit=task.audit,
        run=task.run,
        task=task.key,
        created=done[0].created if done else context.created(),
        verdict=worst(c.verdict for c in candidates),
        emulated=any(c.emulated for c in candidates),
        recommendation=recommend(tuple(candidates), task.spec.candidates),
        candidates=tuple(candidates),
        findings=tuple(f for r in reports for f in r.findings),
        golden=_golden(task, context),
        dataset=next((r.dataset for r in reports if r.dataset), {}),
        environment=_environment(reports),
        spec=spec_section(task.spec),
        reproduce=context.reproduce,
    )
    same = done and to_json(done[0]) == to_json(report)
    stored = done[1] if done and same else publish(report, task.folder, context.store)
    result = task_result(task, report, stored)
    return result.model_copy(update={"message": changed[0]}) if changed else result


def _gathered(task: Task, context: Context) -> tuple[list[Report], list[CandidateReport], list[str]]:
    """The reports there are, every candidate, measured or not, and what is told of reports that were changed."""
    keys = [key for key in task.after if key != GOLDEN]
    context.progress.stage("summarise", total=len(keys), unit="candidates")
    reports: list[Report] = []
    candidates: list[CandidateReport] = []
    changes: list[str] = []
    for key in keys:
        of = candidate_task(task, key)
        found = published(of, context.store)
        if change := _changed(of, found[1] if found else None, context.reports.get(key)):
            changes.append(change)
            candidates.append(unmeasured(of, change))
        elif found:
            reports.append(found[0])
            candidates.extend(found[0].candidates)
        else:
            missing = f"there is no report at {of.folder}: its task did not end"
            candidates.append(unmeasured(of, missing))
        context.progress.advance()
    return reports, candidates, changes


def _changed(of: Task, stored: StoredReport | None, told: str | None) -> str | None:
    """How the report in the store differs from the one that the candidate's task told of; None where it does not."""
    if told is None or (stored and stored.sha256 == told):
        return None
    uri = stored.uri if stored else join(of.folder, REPORT_JSON)
    now = f"has SHA-256 {stored.sha256}" if stored else "is gone or is no report of this task"
    return f"{uri} was changed: it {now}, and its task stored SHA-256 {told}"


def candidate_task(summary: Task, key: str) -> Task:
    """The task of one candidate, as the plan that made the summary made it."""
    name, _, product = key.partition("@")
    return summary.model_copy(
        update={"kind": "candidate", "key": key, "candidate": name, "gpu_product": product or None, "after": (GOLDEN,)}
    )


def _golden(task: Task, context: Context) -> dict[str, object]:
    try:
        return golden_section(read_record(task, context))
    except Unavailable as error:
        # The candidates' verdicts stand without it; the page says what is missing.
        return {"missing": str(error)}


def _environment(reports: list[Report]) -> dict[str, str]:
    """Where the candidates ran; the summary's own machine where they did not."""
    found = [r.environment for r in reports if r.environment]
    if not found:
        return environment()
    differing = {key for each in found for key, value in each.items() if found[0].get(key) != value}
    shared = {key: value for key, value in found[0].items() if key not in differing}
    varied = {key: " | ".join(dict.fromkeys(e[key] for e in found if key in e)) for key in sorted(differing)}
    return {**shared, **varied}
