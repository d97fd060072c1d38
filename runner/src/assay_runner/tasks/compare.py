"""All nodes of a screening together: their reports held against one another, and what is to be screened once more."""

from __future__ import annotations

from collections.abc import Iterator

from assay_api.finding import Verdict
from assay_api.plan import Task
from assay_api.result import TaskResult, shorten
from assay_api.screen_orders import PAIRS, WORDS, CompareOrder, FleetTold, GpuTold
from assay_api.screening import AnswerRecord, DeviceClass, DeviceEntry, ScreenReport
from assay_runner.errors import Internal, InvalidInput
from assay_runner.screening.fleet import NODE, UNKNOWN, together, truths_of
from assay_runner.screening.judging import MAJORITY
from assay_runner.screening.records import read_records, record_bytes, records_of
from assay_runner.screening.reports import fleet_report
from assay_runner.stores import join
from assay_runner.tasks.context import Context
from assay_runner.tasks.screen import put_screen, read_screen

ANSWERS = "answers.json"
"""Name of the right answers beside the report."""


def run_compare(task: Task, context: Context) -> TaskResult:
    """Judge all GPUs by all reports.

    Raises:
        InvalidInput: the reports are of several plans, or the record is of another.
        Unavailable: the store does not answer.
    """
    order = task.compare
    if order is None:
        raise Internal(f"task {task.key} does not say what to compare")
    context.progress.stage("compare", total=len(order.scans), unit="nodes")
    reports, lost = _reports(order, task, context)
    if not reports:
        raise InvalidInput("there is no report to compare: the artifacts of this run were deleted; run it again")
    records = _records(order, task, context, reports[0][1].sha256)
    entries = (*together(reports, (), records), *_absent(order, lost))
    truths = truths_of(reports, records)
    report = fleet_report([each for _, each in reports], entries, truths, recorded=bool(records))
    recorded = _record(task, context, report)
    return TaskResult(
        task=task.digest, verdict=report.verdict, report=put_screen(context.store, task.output, report, task.audit),
        emulated=report.emulated, message=report.message, fleet=_told(order, entries, recorded=recorded),
    )  # fmt: skip


def _reports(order: CompareOrder, task: Task, context: Context) -> tuple[list[tuple[str, ScreenReport]], list[str]]:
    """The reports, and the nodes of which one is gone."""
    found, lost = [], []
    for node, folders in sorted(order.scans.items()):
        for folder in folders:
            report = read_screen(context.store, join(task.output, folder))
            if report is None:
                lost.append(node)
            else:
                found.append((f"the report of {node}", report))
        context.progress.advance()
    return found, lost


def _records(order: CompareOrder, task: Task, context: Context, sha256: str) -> dict[DeviceClass, AnswerRecord]:
    if order.record is None:
        return {}
    path = context.workdir(task) / "record.json"
    context.store.get(order.record, path)
    return read_records(path, sha256)


def _absent(order: CompareOrder, lost: list[str]) -> Iterator[DeviceEntry]:
    """Nodes of which there is no report: those that hang, and those that were skipped."""
    for node, times in sorted(order.hung.items()):
        words = "did not come to an end, nor in a second try" if times > 1 else "did not come to an end, in one try"
        yield DeviceEntry(
            device=f"{NODE}{node}", host=node, kind=UNKNOWN, state="Scanned", message=words, confirmed=times > 1,
            verdict=Verdict.FAILED if times > 1 else Verdict.INCONCLUSIVE,
        )  # fmt: skip
    gone = dict.fromkeys(lost, "its report is gone from the artifact store")
    for node, why in sorted({**gone, **_skipped(order)}.items()):
        yield DeviceEntry(
            device=f"{NODE}{node}", host=node, kind=UNKNOWN, state="Skipped", verdict=Verdict.INCONCLUSIVE, message=why
        )


def _skipped(order: CompareOrder) -> dict[str, str]:
    return {node: why for why, nodes in order.skipped.items() for node in nodes}


def _record(task: Task, context: Context, report: ScreenReport) -> bool:
    """Store the right answers of every class whose GPUs agreed throughout and are enough; whether there were any."""
    every, _ = records_of(report.devices, report.sha256, report.inputs)
    records = [each for each in every if each.devices >= MAJORITY]
    if records:
        context.store.put(join(task.output, ANSWERS), record_bytes(records), "application/json")
    return bool(records)


def _told(order: CompareOrder, entries: tuple[DeviceEntry, ...], *, recorded: bool) -> FleetTold:
    named = [each for each in entries if each.verdict is Verdict.FAILED]
    scanned = [each for each in entries if each.state == "Scanned"]
    unclear = [each for each in scanned if each.verdict is Verdict.INCONCLUSIVE]
    bad = tuple(dict.fromkeys(str(each.host) for each in named))
    doubtful = tuple(dict.fromkeys(str(each.host) for each in unclear if each.host not in bad))
    rates = [each.excludes for each in entries if each.verdict is Verdict.PASSED and each.excludes]
    absent = _skipped(order)
    return FleetTold(
        scanned=len(scanned),
        named=len(named),
        unclear=len(unclear),
        skipped=sum(each.state == "Skipped" and each.host not in absent for each in entries),
        again=_again(order, unclear),
        wrong=_few(named),
        doubtful=_few(unclear),
        bad_nodes=bad[: 2 * PAIRS],
        unclear_nodes=doubtful[: 2 * PAIRS],
        bad=len(bad) + len(doubtful),
        excludes=f"{max(rates):.1e}" if rates else None,
        recorded=recorded,
    )


def _again(order: CompareOrder, unclear: list[DeviceEntry]) -> tuple[str, ...]:
    """Nodes with a GPU that would be named if a second screening said the same, and was screened once."""
    tried = {node: len(folders) for node, folders in order.scans.items()}
    for node, times in order.hung.items():
        tried[node] = tried.get(node, 0) + times
    wanted = dict.fromkeys(str(each.host) for each in unclear if each.confirmed is False)
    return tuple(node for node in wanted if tried.get(node, 0) == 1)[:PAIRS]


def _few(entries: list[DeviceEntry]) -> tuple[GpuTold, ...]:
    return tuple(
        GpuTold(node=str(each.host), device=each.device, message=shorten(each.message, WORDS))
        for each in entries[:PAIRS]
    )
