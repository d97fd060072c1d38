"""`assay junit` and `assay ctrf`: results as CI systems read them, of a report or of what a cluster holds.

A pipeline that reads nothing but the file must see no green where there is no answer: what keeps the results from being
told is written into it as one error, before the command ends with its sentence.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

from assay_api.audit import Storage
from assay_api.names import REPORT_JSON, ExitCode
from assay_api.screening import SCREEN_JSON
from assay_runner import interruption
from assay_runner.cli.broken_off import results_without_report
from assay_runner.cli.kubectl import Place, read_object
from assay_runner.cli.places import absolute
from assay_runner.cli.reports import AUDIT, content_at, parsed, read_report
from assay_runner.cli.screen_results import SCREENING, is_screening, parsed_screening, screening_of_cluster
from assay_runner.cli.standing import Standing, standing
from assay_runner.cli.sweep_report import sweep_of
from assay_runner.cli.wait import named
from assay_runner.errors import Unavailable
from assay_runner.report.ctrf import render_ctrf
from assay_runner.report.junit import render_junit
from assay_runner.report.screen_suites import results_of_screen
from assay_runner.report.suites import Results, results_of
from assay_runner.report.sweep_suites import results_of_sweep
from assay_runner.stores import open_store
from assay_runner.stores.files import whole_file

SWEEP: Final = "sweep/"
_FORMATS: Final[dict[str, Callable[[Results], bytes]]] = {"junit": render_junit, "ctrf": render_ctrf}


def command(arguments: argparse.Namespace) -> int:
    """Write the results; 0 whatever the verdict is."""
    target = absolute(arguments.out, "the file for the results") if arguments.out else None
    render = _FORMATS[arguments.command]
    try:
        content = render(_results(arguments))
    except Exception as error:
        if target is not None and not interruption.came():
            _write(target, render(results_without_report(arguments.what, error)))
        raise
    if target is None:
        sys.stdout.buffer.write(content + b"\n")
        sys.stdout.buffer.flush()
    else:
        _write(target, content)
    return ExitCode.PASSED


def _results(arguments: argparse.Namespace) -> Results:
    what, where = arguments.what, (arguments.namespace, arguments.context)
    if what.startswith(SWEEP):
        return results_of_sweep(sweep_of(named(what, *where)))
    if what.startswith(AUDIT):
        _ended(named(what, *where))
        return results_of(read_report(what, *where))
    if what.startswith(SCREENING):
        place = named(what, *where)
        return results_of_screen(screening_of_cluster(place, _ended(place)), place.name)
    content = content_at(open_store(Storage()), what, "the report", (REPORT_JSON, SCREEN_JSON))
    if content is not None and is_screening(content):
        return results_of_screen(parsed_screening(content, what))
    return results_of(read_report(what) if content is None else parsed(content, what))


def _ended(place: Place) -> Standing:
    """Where an audit or a screening stands whose report is of this spec and this rerun.

    Raises:
        Unavailable: its run has not ended.
    """
    now = standing(read_object(place))
    if now.code is None:
        wait = " ".join(["assay wait", f"{place.word}/{place.name}", *place.options])
        raise Unavailable(f"{place} has not ended ({_said(now)}): wait for it with `{wait}`")
    return now


def _said(now: Standing) -> str:
    return f"{now.word}: {now.message or now.reason}"


def _write(target: Path, content: bytes) -> None:
    with whole_file(target, len(content)) as file:
        file.write(content)
