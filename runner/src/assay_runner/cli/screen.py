"""`assay screen`: one plan on every GPU of this machine, answers compared bit by bit."""

from __future__ import annotations

import argparse
import json
import os
import socket
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from assay_api.finding import Verdict
from assay_api.model import to_wire
from assay_api.names import ENV_TERMINATION_MESSAGE
from assay_api.screening import SCREEN_HTML, SCREEN_JSON, DeviceClass, ScreenReport
from assay_runner.cli.failures import VERDICT_CODES, say
from assay_runner.cli.places import absolute
from assay_runner.cli.workspace import scratch_folder
from assay_runner.digests import file_sha256
from assay_runner.errors import InvalidInput
from assay_runner.report.screen_page import render_screen
from assay_runner.report.wording import visible
from assay_runner.screening.fleet import NODE, together
from assay_runner.screening.gpus import chosen, gpus
from assay_runner.screening.judging import MAJORITY, Device, conclusion
from assay_runner.screening.orders import Order
from assay_runner.screening.processes import Processes, Scanner
from assay_runner.screening.records import read_records, record_bytes, records_of
from assay_runner.screening.screening import Screened, screen
from assay_runner.screening.subjects import ONNX
from assay_runner.screening.told import termination_message
from assay_runner.stores.files import disk_error

NODE_NAME: Final = "NODE_NAME"
POLL_SECONDS: Final = 5.0
MOST_STAND_INS: Final = 64
WIDTH: Final = 120


@dataclass(frozen=True)
class Places:
    """Files of one screening, all absolute.

    Attributes:
        subject: what is run.
        out: folder for page and JSON.
        data: folder of inputs, where one is given.
    """

    subject: Path
    out: Path
    data: Path | None


def command(arguments: argparse.Namespace) -> int:
    """Screen this machine. 0: no deviation; 1: a device is named; 2: inconclusive or skipped; 64, 69 as everywhere."""
    if (arguments.subject is None) == (arguments.compare is None):
        raise InvalidInput("give a plan to screen this machine with, or --compare and reports: one of both")
    if arguments.expect and not arguments.compare:
        raise InvalidInput("--expect names the machines of --compare: a plan screens this one alone")
    if arguments.compare:
        return compared(arguments)
    scanner = Processes(max(arguments.silence, 1.0))
    try:
        return screened(arguments, scanner)
    finally:
        scanner.stop()


def screened(arguments: argparse.Namespace, scanner: Scanner) -> int:
    """The same with whatever has devices scanned."""
    places = _places(arguments)
    sha256 = file_sha256(places.subject)
    records = read_records(absolute(arguments.digest, "the record"), sha256) if arguments.digest else {}
    devices = _devices(arguments, places.subject)
    with scratch_folder() as scratch:
        found = screen(
            devices,
            lambda device, which: _order(arguments, places, device, scratch / f"{which}-{device.name}"),
            scanner,
            records,
            at_once=len(devices),
            note=lambda text: print(visible(text), file=sys.stderr, flush=True),
        )
    return _end(arguments, places.out, _report(places, sha256, found, recorded=bool(records)))


def compared(arguments: argparse.Namespace) -> int:
    """Put reports of several machines together."""
    reports = [(name, _read(absolute(name, "a report"))) for name in arguments.compare]
    one = reports[0][1]
    records = read_records(absolute(arguments.digest, "the record"), one.sha256) if arguments.digest else {}
    entries = together(reports, _expected(arguments.expect), records)
    verdict, message = conclusion(entries)
    hosts = {report.host for _, report in reports}
    fields = {
        "version": version("assay-runner"),
        "inputs": next((report.inputs for _, report in reports if report.inputs), ""),
        "host": f"{len(hosts)} machine{'s' if len(hosts) > 1 else ''}",
        "made": _now(),
        "rule": "digest" if records else "majority",
        "verdict": verdict,
        "message": message,
        "devices": entries,
    }
    out = absolute(arguments.out, "the folder for the report")
    return _end(arguments, out, one.model_copy(update=fields))


def _end(arguments: argparse.Namespace, out: Path, report: ScreenReport) -> int:
    """Store and print a report; the exit code."""
    _store(out, report)
    if arguments.record:
        _record(absolute(arguments.record, "the record"), report)
    if message := os.environ.get(ENV_TERMINATION_MESSAGE):
        _write(Path(message), termination_message(report))
    _print(report)
    print(out / SCREEN_HTML, flush=True)
    return VERDICT_CODES[report.verdict]


def _read(path: Path) -> ScreenReport:
    file = path / SCREEN_JSON if path.is_dir() else path
    try:
        return ScreenReport.model_validate_json(file.read_text())
    except OSError as error:
        raise InvalidInput(f"{file} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise InvalidInput(f"{file} is no report of `assay screen`: it writes {SCREEN_JSON} below --out") from error


def _expected(file: str | None) -> list[str]:
    """Names of machines, one a line, as `kubectl get nodes -o name` prints them or bare."""
    if file is None:
        return []
    try:
        text = sys.stdin.read() if file == "-" else absolute(file, "the list of machines").read_text()
    except (OSError, ValueError) as error:
        raise InvalidInput(f"{file} cannot be read: {error}") from error
    return [line.strip().removeprefix(NODE) for line in text.splitlines() if line.strip()]


def _places(arguments: argparse.Namespace) -> Places:
    subject = absolute(arguments.subject, "the plan")
    if not subject.is_file():
        raise InvalidInput(f"{subject} is no file: name a TensorRT plan, or an .onnx file to try it on the CPU")
    data = absolute(arguments.data, "the folder of inputs") if arguments.data else None
    if data and not data.is_dir():
        raise InvalidInput(f"{data} is no folder: name one with .npz files, one feed each")
    return Places(subject, absolute(arguments.out, "the folder for the report"), data)


def _devices(arguments: argparse.Namespace, subject: Path) -> Sequence[Device]:
    """The devices that there are; those in use are waited for as long as is asked."""
    if subject.suffix == ONNX:
        return _stand_ins(arguments.devices or "1")
    names = [name.strip() for name in (arguments.devices or "").split(",") if name.strip()]
    until = time.monotonic() + arguments.wait
    while True:
        found = chosen(gpus(), names)
        left = until - time.monotonic()
        if left <= 0 or not any(device.skipped.startswith("in use") for device in found):
            break
        time.sleep(min(POLL_SECONDS, left))
    if not found:
        raise InvalidInput("nvidia-smi lists no GPU: give the process one (nvidia.com/gpu: 1)")
    return found


def _stand_ins(text: str) -> list[Device]:
    count = int(text) if text.isascii() and text.isdecimal() else 0
    if not 1 <= count <= MOST_STAND_INS:
        raise InvalidInput(f"--devices of an .onnx file is a number of stand-ins, 1 to {MOST_STAND_INS}, got {text!r}")
    return [Device(f"cpu-{index}", DeviceClass(product="CPU")) for index in range(count)]


def _order(arguments: argparse.Namespace, places: Places, device: Device, answers: Path) -> Order:
    answers.mkdir(parents=True, exist_ok=True)
    return Order(
        subject=str(places.subject),
        device=device.name,
        feeds=str(places.data) if places.data else None,
        count=arguments.count,
        batch=arguments.batch,
        runs=arguments.runs,
        heat=arguments.heat,
        seconds=arguments.seconds,
        answers=str(answers),
    )


def _report(places: Places, sha256: str, found: Screened, *, recorded: bool) -> ScreenReport:
    verdict, message = conclusion(found.entries)
    rules = {truth.rule for truth in found.truths.values()}
    return ScreenReport(
        version=version("assay-runner"),
        subject=places.subject.name,
        sha256=sha256,
        inputs=found.inputs,
        host=os.environ.get(NODE_NAME) or socket.gethostname(),
        made=_now(),
        rule="digest" if recorded else "majority" if "majority" in rules else "none",
        verdict=verdict,
        message=message,
        devices=found.entries,
        emulated=places.subject.suffix == ONNX,
    )


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def _record(file: Path, report: ScreenReport) -> None:
    records, lacking = records_of(report.devices, report.sha256, report.inputs)
    if lacking:
        say(f"not recorded: {lacking}")
    if records:
        _write(file, record_bytes(records))
        few = min(record.devices for record in records)
        if few < MAJORITY:
            say(f"the record is of {few} device{'s' if few > 1 else ''}: what they answer counts as right from now on")


def _store(out: Path, report: ScreenReport) -> None:
    _write(out / SCREEN_JSON, (json.dumps(to_wire(report), indent=1, ensure_ascii=False) + "\n").encode())
    _write(out / SCREEN_HTML, render_screen(report))


def _write(path: Path, content: bytes) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    except OSError as error:
        raise disk_error(error, path) from error


def _print(report: ScreenReport) -> None:
    console = Console() if sys.stdout.isatty() else Console(width=WIDTH)
    shown = Table(box=None, pad_edge=False, show_edge=False)
    for head in ("device", "class", "verdict", "what was seen"):
        shown.add_column(head, overflow="fold")
    for each in report.devices:
        word = str(each.verdict) if each.state == "Scanned" else "Skipped"
        style = "bold red" if each.verdict is Verdict.FAILED else ""
        kind = " ".join(filter(None, (each.kind.product, each.kind.mig)))
        cells = (" ".join(filter(None, (each.host, each.device))), kind, Text(word, style=style), each.message)
        shown.add_row(*(cell if isinstance(cell, Text) else Text(visible(cell)) for cell in cells))
    console.print(shown)
    console.print(Text(visible(f"{report.verdict}: {report.message}")), soft_wrap=True)
