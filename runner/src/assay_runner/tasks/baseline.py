"""Baselines in a cluster: what a candidate's answer is beside its own, and the task that accepts answers as such."""

from __future__ import annotations

import hashlib

from assay_api.baseline import BaselineTold
from assay_api.plan import Task, baselines_folder
from assay_api.report import CandidateReport, Report, Verdict
from assay_api.result import TaskResult
from assay_runner.errors import AuditError, Internal, InvalidInput
from assay_runner.report.baseline import BaselinePointer, Beside, beside, record_of, unfit
from assay_runner.stores.sealed import Damaged
from assay_runner.tasks.baselines import Baselines
from assay_runner.tasks.context import Context
from assay_runner.tasks.publish import report_in


def with_baseline(task: Task, context: Context, report: Report, result: TaskResult) -> TaskResult:
    """A candidate's result with what its answer is beside its baseline, whose trouble is none of the audit's."""
    if report.spec is None or not report.candidates:
        return result
    (candidate,) = report.candidates
    result = result.model_copy(update={"compared": _compared(task, context, report, candidate)})
    try:
        found, pointer = _baselines(task, context).beside(report, candidate)
    except AuditError as error:
        said = error.why if isinstance(error, Damaged) else str(error)
        found, pointer = Beside("Inconclusive", f"its baseline cannot be read: {said}"), None
    return result.model_copy(update={"baselines": (_told("", found, pointer),)})


def _compared(task: Task, context: Context, report: Report, candidate: CandidateReport) -> BaselineTold | None:
    """What a candidate's answer is beside the one in the report that the spec names; None where it names none."""
    named = task.spec.compare_with
    if named is None:
        return None
    try:
        other = _report(named.uri, named.sha256, context)
    except AuditError as error:
        found = Beside("Inconclusive", f"spec.compareWith.uri cannot be read: {error}")
    else:
        found = _beside_other(other, named.uri, report, candidate)
    context.progress.note(f"{candidate.name} beside {named.uri}: {found.state}: {found.why}")
    return _told("", found, None)


def _beside_other(other: Report, uri: str, report: Report, candidate: CandidateReport) -> Beside:
    old = next((each for each in other.candidates if each.name == candidate.name), None)
    if old is None:
        return Beside("Inconclusive", f"{uri} tells of no candidate {candidate.name}")
    if old.error or old.verdict is Verdict.INCONCLUSIVE:
        return Beside("Inconclusive", f"it could not be judged there{f': {old.error}' if old.error else ''}")
    if old.emulated != candidate.emulated:
        return Beside("Inconclusive", "one of them is emulated and the other is not")
    return beside(record_of(other, old, ""), report, candidate, alike=True)


def run_baseline(task: Task, context: Context) -> TaskResult:
    """Accept answers of a report, as far as they may become baselines.

    Raises:
        InvalidInput: the report is gone, or is not the one that its audit told of.
        Unavailable: the store does not answer.
    """
    order = task.accept
    if order is None:
        raise Internal(f"task {task.key} does not say what to accept")
    context.progress.stage("accept", total=len(order.candidates), unit="answers")
    report = _report(order.report, order.sha256, context)
    kept, by_key = _baselines(task, context), {each.name: each for each in report.candidates}
    told: list[BaselineTold] = []
    for key in order.candidates:
        candidate = by_key.get(key)
        reasons = unfit(report, candidate) if candidate else ("the report does not tell of it",)
        if candidate is None or reasons:
            # What it is beside its baseline stays as it was.
            told.append(BaselineTold(candidate=key, state="", why="; ".join(reasons), refused=True))
        else:
            pointer = kept.accept(report, candidate, order.sha256, order.who, order.why, context.created())
            told.append(_told(key, kept.beside(report, candidate)[0], pointer))
        context.progress.advance()
    refused = sum(each.refused for each in told)
    message = f"{len(told) - refused} accepted{f', {refused} refused' if refused else ''}"
    return TaskResult(task=task.digest, baselines=tuple(told), message=message)


def _baselines(task: Task, context: Context) -> Baselines:
    return Baselines(context.store, baselines_folder(task.cache))


def _report(uri: str, sha256: str | None, context: Context) -> Report:
    if context.store.stat(uri) is None:
        raise InvalidInput(f"the report {uri} is gone: run the audit again, and accept what comes of that")
    content = context.store.read(uri)
    if sha256 is not None and hashlib.sha256(content).hexdigest() != sha256:
        raise InvalidInput(f"{uri} is not the report that its audit told of (SHA-256 {sha256}): it was changed")
    report = report_in(content)
    if report is None:
        raise InvalidInput(f"{uri} is no report that this version of Assay reads: run the audit again")
    return report


def _told(key: str, found: Beside, pointer: BaselinePointer | None) -> BaselineTold:
    why = "" if found.state == "New" else found.why
    record = pointer.record[:12] if pointer else None
    accepted = f"{pointer.who}, {pointer.when}: {pointer.why}" if pointer else None
    return BaselineTold(
        candidate=key, state=found.state, why=why, causes=found.causes, record=record, accepted=accepted
    )  # fmt: skip
