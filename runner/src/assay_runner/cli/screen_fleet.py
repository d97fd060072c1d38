"""`assay screen --compare`: reports of several machines put together."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from assay_api.screening import SCREEN_JSON, ScreenReport
from assay_runner.cli.places import absolute
from assay_runner.cli.screen_end import clear, end
from assay_runner.errors import InvalidInput
from assay_runner.screening.fleet import NODE, together, truths_of
from assay_runner.screening.records import read_records
from assay_runner.screening.reports import fleet_report


def compared(arguments: argparse.Namespace) -> int:
    """Put reports of several machines together."""
    reports = [(name, _read(absolute(name, "a report"))) for name in arguments.compare]
    out = absolute(arguments.out, "the folder for the report")
    if any((out / SCREEN_JSON).resolve() == _file(absolute(name, "a report")).resolve() for name in arguments.compare):
        raise InvalidInput(f"{out / SCREEN_JSON} is one of the reports and would be overwritten: give another --out")
    clear(out)
    one = reports[0][1]
    records = read_records(absolute(arguments.digest, "the record"), one.sha256) if arguments.digest else {}
    entries = together(reports, _expected(arguments.expect), records)
    truths = truths_of(reports, records)
    report = fleet_report([each for _, each in reports], entries, truths, recorded=bool(records))
    return end(arguments, out, report)


def _file(path: Path) -> Path:
    return path / SCREEN_JSON if path.is_dir() else path


def _read(path: Path) -> ScreenReport:
    file = _file(path)
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
