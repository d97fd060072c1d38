"""`assay diff`: where two reports part, for a person, a page and a gate."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from assay_api.report import Report
from assay_runner.cli.failures import VERDICT_CODES
from assay_runner.cli.places import absolute
from assay_runner.cli.reports import read_report
from assay_runner.report.difference_page import render_differences
from assay_runner.report.difference_words import conclusion, sides, tables_of, wire
from assay_runner.report.differences import Differences, differences
from assay_runner.report.wording import visible
from assay_runner.stores.files import disk_error


def command(arguments: argparse.Namespace) -> int:
    """Compare, print, write what is asked for. 1: worse; 2: no longer judged; 0: neither; 64: wrong input."""
    old, new = (read_report(each, arguments.namespace, arguments.context) for each in (arguments.old, arguments.new))
    found = differences(old, new)
    if arguments.html:
        _write(arguments.html, render_differences(old, new, found))
    if arguments.json:
        _write(
            arguments.json, json.dumps(wire(found), indent=1, ensure_ascii=False).encode("utf-8", "backslashreplace")
        )
    _print(old, new, found, Console(), everything=arguments.all)
    return VERDICT_CODES[found.verdict(figures=arguments.figures)]


def _write(file: str, content: bytes) -> None:
    path = absolute(file, "the file for the comparison")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    except OSError as error:
        raise disk_error(error, path) from error


def _print(old: Report, new: Report, found: Differences, console: Console, *, everything: bool) -> None:
    for line in sides(old, new):
        _line(console, line)
    for heads, rows in tables_of(found, everything=everything).values():
        if rows:
            console.print()
            console.print(_table(heads, rows))
    console.print()
    for line in conclusion(found):
        _line(console, line)


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    table = Table(box=None, pad_edge=False, show_edge=False)
    for head in heads:
        table.add_column(head, overflow="fold")
    for row in rows:
        table.add_row(*(Text(visible(cell), style=_STYLES.get(cell, "")) for cell in row))
    return table


_STYLES = {"worse": "bold red", "better": "green", "Failed": "bold red", "Inconclusive": "yellow", "Passed": "green"}


def _line(console: Console, text: str) -> None:
    console.print(Text(visible(text)), soft_wrap=not console.is_terminal)
