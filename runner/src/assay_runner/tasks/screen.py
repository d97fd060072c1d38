"""Screening of one node in a cluster: the plan on every GPU that its Pod was given, and a report in the store.

What is done is what `assay screen` does on a machine. A node whose driver does not answer, or which has no GPU or no
library for it, is an answer too: the other nodes' comparison lists it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import ValidationError

from assay_api.audit import ModelRef
from assay_api.finding import Verdict
from assay_api.model import to_wire
from assay_api.plan import Task
from assay_api.result import StoredReport, TaskResult
from assay_api.screen_orders import NodeTold, ScreenOrder
from assay_api.screening import SCREEN_HTML, SCREEN_JSON, AnswerRecord, DeviceClass, DeviceEntry, ScreenReport
from assay_runner.digests import file_sha256
from assay_runner.errors import AuditError, Internal, Unsupported
from assay_runner.models.files import fetch_model, fetch_pinned
from assay_runner.report.screen_page import render_screen
from assay_runner.screening.fleet import UNKNOWN
from assay_runner.screening.gpus import Unresponsive, gpus
from assay_runner.screening.judging import Device
from assay_runner.screening.orders import Order
from assay_runner.screening.processes import Processes, Scanner
from assay_runner.screening.records import read_records
from assay_runner.screening.reports import machine_report, stand_ins
from assay_runner.screening.screening import Screened, screen
from assay_runner.screening.subjects import is_onnx
from assay_runner.stores import Store, basename, join
from assay_runner.tasks.context import Context


def run_screen(task: Task, context: Context) -> TaskResult:
    """Screen the GPUs of this node.

    Raises:
        InvalidInput: the plan or the record cannot be used.
        Unavailable: the store does not answer.
    """
    scanner = Processes(float(_order(task).silence_seconds))
    try:
        return screened(task, context, scanner)
    finally:
        scanner.stop()


def screened(task: Task, context: Context, scanner: Scanner) -> TaskResult:
    """The same with whatever has devices scanned."""
    order = _order(task)
    if context.resume and (known := read_screen(context.store, task.folder)):
        return _result(task, order, known, hung=False)
    subject, sha256 = _subject(task, context)
    records = read_records(_record(order, context, task), sha256) if order.record else {}
    context.progress.stage("screen", total=order.gpus, unit="GPUs")
    hung = False
    try:
        found = _found(order, subject, records, scanner, context, task)
    except Unsupported as error:
        found = _nothing(order, error, skipped=True)
    except Unresponsive as error:
        found, hung = _nothing(order, error, skipped=False), True
    report = machine_report(subject, sha256, order.node, found, recorded=bool(records))
    return _result(task, order, report, hung=hung, stored=put_screen(context.store, task.folder, report, task.audit))


def read_screen(store: Store, folder: str) -> ScreenReport | None:
    """The report in a folder of the store; None where there is none that this version can read."""
    uri = join(folder, SCREEN_JSON)
    if store.stat(uri) is None:
        return None
    try:
        return ScreenReport.model_validate_json(store.read(uri))
    except ValidationError:
        return None


def put_screen(store: Store, folder: str, report: ScreenReport, of: str) -> StoredReport:
    """Store a report; the page goes first, so that whoever sees the report sees all of it.

    Args:
        store: where to.
        folder: its folder there.
        report: of a node, or of all.
        of: `namespace/name` of the screening.
    """
    page, uri = join(folder, SCREEN_HTML), join(folder, SCREEN_JSON)
    content = (json.dumps(to_wire(report), indent=1, ensure_ascii=False) + "\n").encode()
    store.put(page, render_screen(report, of), "text/html; charset=utf-8")
    store.put(uri, content, "application/json")
    return StoredReport(uri=uri, sha256=hashlib.sha256(content).hexdigest(), page=page)


def _order(task: Task) -> ScreenOrder:
    if task.screen is None:
        raise Internal(f"task {task.key} does not say what to screen")
    return task.screen


def _subject(task: Task, context: Context) -> tuple[Path, str]:
    """The plan on the scratch disk, and its SHA-256."""
    model, folder = task.spec.model, context.workdir(task)
    context.progress.stage("fetch", unit="plans")
    if is_onnx(Path(model.uri)):
        path = fetch_model(context.store, ModelRef(uri=model.uri, sha256=model.sha256), folder / "model")
        return path, file_sha256(path)
    path = folder / basename(model.uri)
    return path, fetch_pinned(context.store, model.uri, model.sha256, path, "the plan")


def _record(order: ScreenOrder, context: Context, task: Task) -> Path:
    assert order.record is not None, "there is no record"
    path = context.workdir(task) / "answers.json"
    context.store.get(order.record, path)
    return path


def _found(
    order: ScreenOrder, subject: Path, records: Mapping[DeviceClass, AnswerRecord], scanner: Scanner,
    context: Context, task: Task,
) -> Screened:  # fmt: skip
    devices: Sequence[Device] = stand_ins(order.gpus) if is_onnx(subject) else gpus()
    scratch = context.workdir(task) / "answers"

    def ordered(device: Device, which: str) -> Order:
        answers = scratch / f"{which}-{device.name}"
        answers.mkdir(parents=True, exist_ok=True)
        return Order(
            subject=str(subject), device=device.name, count=order.inputs, batch=order.batch, runs=order.runs,
            heat=order.heat_seconds, seconds=order.scan_seconds, answers=str(answers), plugins=order.plugins,
        )  # fmt: skip

    def note(text: str) -> None:
        context.progress.note(text)
        context.progress.advance()

    return screen(devices, ordered, scanner, records, at_once=len(devices), note=note)


def _nothing(order: ScreenOrder, error: AuditError, *, skipped: bool) -> Screened:
    """What there is to say of a node of which no GPU could be looked at."""
    entry = DeviceEntry(
        device=f"node/{order.node}", kind=UNKNOWN, state="Skipped" if skipped else "Scanned",
        verdict=Verdict.INCONCLUSIVE, message=str(error),
    )  # fmt: skip
    return Screened((entry,))


def _result(
    task: Task, order: ScreenOrder, report: ScreenReport, *, hung: bool, stored: StoredReport | None = None
) -> TaskResult:
    return TaskResult(
        task=task.digest, verdict=report.verdict, report=stored, emulated=report.emulated, message=report.message,
        screened=NodeTold(node=order.node, devices=len(report.devices), hung=hung),
    )  # fmt: skip
