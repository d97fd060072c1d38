"""`assay report --screening`: the page of a screening, made of its report, or of its status while there is none."""

from __future__ import annotations

from assay_api.names import ExitCode
from assay_runner.cli.kubectl import Place, read_object
from assay_runner.cli.report import report_of
from assay_runner.cli.screen_results import WITH_REPORT, parsed_screening
from assay_runner.cli.standing import Standing, standing
from assay_runner.raw import mapping
from assay_runner.report.screen_page import render_screen
from assay_runner.report.screen_waiting import render_waiting


def page_of_screening(place: Place) -> bytes:
    """The page of a screening, HTML in UTF-8; while a run goes on, of the one before where there was one.

    Raises:
        InvalidInput: there is no such screening, the user may not read it, it ended without a report because of its
            input, or what lies in the store is not its report.
        Unavailable: kubectl, the cluster or the store is not there, or it ended without a report.
    """
    screening = read_object(place)
    meta, status, now = mapping(screening.get("metadata")), mapping(screening.get("status")), standing(screening)
    of = f"{meta.get('namespace', 'default')}/{meta.get('name', place.name)}"
    if now.code is None and not status.get("report"):
        return render_waiting(of, status, now.word, now.message)
    report = parsed_screening(report_of(screening, place), f"the report of {place}")
    return render_screen(report, of, _notice(now))


def _notice(now: Standing) -> str:
    """What to say above a report that is not of what is asked for now."""
    if now.code is None:
        return f"This is the report of the run before, for another is asked for ({now.word}): {now.message}"
    if now.code in WITH_REPORT:
        return ""
    why = "its spec is wrong" if now.code == ExitCode.INVALID_INPUT else now.reason
    return f"This is the report of an earlier run: there is none of the last one ({why}): {now.message}"
