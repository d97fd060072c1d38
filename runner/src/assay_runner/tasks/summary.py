"""The summary task: the audit's own report, made from its candidates' reports, with what to ship.

A candidate's report counts only while it is the one that the candidate's task told of. So an earlier summary is no
short cut: it is made again from the candidates' reports, which costs little, and kept where it is the same.
"""

from __future__ import annotations

from assay_api.names import ANNOTATION_RERUN, REPORT_JSON
from assay_api.plan import Task, siblings
from assay_api.report import CandidateReport, DatasetEntry, GoldenEntry, Report, to_json, worst
from assay_api.result import TaskResult
from assay_runner.errors import Unavailable
from assay_runner.report.left import judged
from assay_runner.stores import join
from assay_runner.stores.sealed import Damaged
from assay_runner.tasks.context import Context
from assay_runner.tasks.environment import environment
from assay_runner.tasks.publish import publish, published, resumed, task_result, unmeasured
from assay_runner.tasks.recommendation import recommend
from assay_runner.tasks.records import read_record
from assay_runner.tasks.sections import golden_section


def run_summary(task: Task, context: Context) -> TaskResult:
    """Gather the candidates' reports, publish the audit's, and recommend a candidate.

    A candidate without a report, or with another one than its task stored, is Inconclusive, by name: what nobody
    measured has not passed. The verdict is of the candidates that were asked for; those that a repair made stand
    beside them, and may be recommended.

    Raises:
        Unavailable: the store does not answer.
    """
    done = resumed(task, context, [])
    reports, candidates, changed = _gathered(task, context)
    repairs = _repairs(task, context)
    repaired = tuple(candidate for each in repairs for candidate in each.candidates)
    repair = tuple(entry for each in repairs for entry in each.repair)
    report = Report(
        audit=task.audit,
        run=task.run,
        task=task.key,
        created=done[0].created if done else context.created(),
        verdict=worst(c.verdict for c in judged(candidates)),
        emulated=any(c.emulated for c in (*candidates, *repaired)),
        recommendation=recommend((*candidates, *repaired), task.spec.candidates, repair),
        candidates=(*candidates, *repaired),
        findings=tuple(f for r in (*reports, *repairs) for f in r.findings),
        repair=repair,
        golden=_golden(task, context),
        dataset=next((r.dataset for r in reports if r.dataset.uri), DatasetEntry()),
        environment=_environment(reports),
        images=dict(context.images),
        spec=task.spec,
        reproduce=context.reproduce,
    )
    same = done and to_json(done[0]) == to_json(report)
    stored = done[1] if done and same else publish(report, task.folder, context.store)
    result = task_result(task, report, stored)
    return result.model_copy(update={"message": changed[0]}) if changed else result


def _gathered(task: Task, context: Context) -> tuple[list[Report], list[CandidateReport], list[str]]:
    """The reports there are, every candidate, measured or not, and what is told of reports that were changed."""
    run = siblings(task)
    audited = [of for of in (run[after.task] for after in task.after) if of.candidate]
    context.progress.stage("summarise", total=len(audited), unit="candidates")
    reports: list[Report] = []
    candidates: list[CandidateReport] = []
    changes: list[str] = []
    for of in audited:
        found = _report(of, context)
        if isinstance(found, Report):
            reports.append(found)
            candidates.extend(found.candidates)
        elif found:
            changes.append(found)
            candidates.append(unmeasured(of, found))
        else:
            missing = (
                f"there is no report at {of.folder}, or none with its digest: its task did not end, or was one of "
                f"another version of Assay (a new annotation {ANNOTATION_RERUN} runs all of them again)"
            )
            candidates.append(unmeasured(of, missing))
        context.progress.advance()
    return reports, candidates, changes


def _repairs(task: Task, context: Context) -> list[Report]:
    """The reports of repairs, as far as there are any: the audit's answer stands without them."""
    run = siblings(task)
    found = ((of.key, _report(of, context)) for of in (run[after.task] for after in task.after) if of.about.beside)
    reports: list[Report] = []
    for key, report in found:
        if isinstance(report, Report):
            reports.append(report)
        elif report:
            context.progress.note(f"{key} is left out: {report}")
    return reports


def _report(of: Task, context: Context) -> Report | str | None:
    """The report of a task, or how it was changed since its task stored it; None where there is none."""
    told = context.reports.get(of.key)
    try:
        found = published(of, context.store, told)
    except Damaged as error:
        return f"{error.uri} was changed: {error.why}"
    if found or told is None:
        return found[0] if found else None
    uri = join(of.folder, REPORT_JSON)
    return f"{uri} was changed: it is gone or is no report of this task, and its task stored SHA-256 {told}"


def _golden(task: Task, context: Context) -> GoldenEntry:
    try:
        return golden_section(read_record(task, context))
    except Unavailable as error:
        # The candidates' verdicts stand without it; the page says what is missing.
        return GoldenEntry(missing=str(error))


def _environment(reports: list[Report]) -> dict[str, str]:
    """Where the candidates ran; the summary's own machine where they did not."""
    found = [r.environment for r in reports if r.environment]
    if not found:
        return environment()
    differing = {key for each in found for key, value in each.items() if found[0].get(key) != value}
    shared = {key: value for key, value in found[0].items() if key not in differing}
    varied = {key: " | ".join(dict.fromkeys(e[key] for e in found if key in e)) for key in sorted(differing)}
    return {**shared, **varied}
