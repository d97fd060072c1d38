"""The summary task: the audit's own report, made from its candidates' reports, with what to ship."""

from __future__ import annotations

from assay_api.plan import GOLDEN, Task
from assay_api.report import CandidateReport, Report, worst
from assay_api.result import TaskResult
from assay_runner.errors import Unavailable
from assay_runner.tasks.context import Context
from assay_runner.tasks.environment import environment
from assay_runner.tasks.publish import publish, published, task_result, unmeasured
from assay_runner.tasks.recommendation import recommend
from assay_runner.tasks.records import read_record
from assay_runner.tasks.sections import golden_section, spec_section


def run_summary(task: Task, context: Context) -> TaskResult:
    """Gather the candidates' reports, publish the audit's, and recommend a candidate.

    A candidate without a report is Inconclusive, by name: what nobody measured has not passed.

    Raises:
        Unavailable: the store does not answer.
    """
    done = published(task, context.store) if context.resume else None
    if done:
        return task_result(task, *done)
    reports, candidates = _gathered(task, context)
    report = Report(
        audit=task.audit,
        run=task.run,
        task=task.key,
        created=context.created(),
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
    return task_result(task, report, publish(report, task.folder, context.store))


def _gathered(task: Task, context: Context) -> tuple[list[Report], list[CandidateReport]]:
    """The reports there are, and every candidate, measured or not."""
    keys = [key for key in task.after if key != GOLDEN]
    context.progress.stage("summarise", total=len(keys), unit="candidates")
    reports: list[Report] = []
    candidates: list[CandidateReport] = []
    for key in keys:
        of = candidate_task(task, key)
        found = published(of, context.store)
        if found:
            reports.append(found[0])
            candidates.extend(found[0].candidates)
        else:
            missing = f"there is no report at {of.folder}: its task did not end"
            candidates.append(unmeasured(of, missing))
        context.progress.advance()
    return reports, candidates


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
