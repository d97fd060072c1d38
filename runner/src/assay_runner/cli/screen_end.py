"""What every screening ends with: a report that is stored and printed, a termination message, an exit code."""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from assay_api.finding import Verdict
from assay_api.model import to_wire
from assay_api.names import ENV_TERMINATION_MESSAGE
from assay_api.screening import SCREEN_HTML, SCREEN_JSON, ScreenReport
from assay_runner.cli.failures import VERDICT_CODES, say
from assay_runner.cli.places import absolute
from assay_runner.report.screen_page import render_screen
from assay_runner.report.wording import visible
from assay_runner.screening.judging import MAJORITY, called
from assay_runner.screening.records import record_bytes, records_of
from assay_runner.screening.told import termination_message
from assay_runner.stores.files import disk_error

WIDTH: Final = 120


def clear(out: Path) -> None:
    """Make the folder, and take an earlier report out of it: whatever happens, none is there that is not of now."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        for name in (SCREEN_JSON, SCREEN_HTML):
            (out / name).unlink(missing_ok=True)
        with tempfile.TemporaryFile(dir=out):
            pass
    except OSError as error:
        raise disk_error(error, out) from error


def end(arguments: argparse.Namespace, out: Path, report: ScreenReport) -> int:
    """Store and print a report; the exit code."""
    _store(out, report)
    if arguments.record:
        _record(absolute(arguments.record, "the record"), report)
    if message := os.environ.get(ENV_TERMINATION_MESSAGE):
        _write(Path(message), termination_message(report))
    _print(report)
    print(out / SCREEN_HTML, flush=True)
    return VERDICT_CODES[report.verdict]


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
        cells = (called(each), kind, Text(word, style=style), each.message)
        shown.add_row(*(cell if isinstance(cell, Text) else Text(visible(cell)) for cell in cells))
    console.print(shown)
    console.print(Text(visible(f"{report.verdict}: {report.message}")), soft_wrap=True)
