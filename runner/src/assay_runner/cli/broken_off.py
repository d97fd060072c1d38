"""A run that ended without a report, told in junit.xml and ctrf.json, for pipelines that read nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from assay_api.names import REPORT_CTRF, REPORT_JUNIT
from assay_runner import interruption

if TYPE_CHECKING:
    from assay_runner.report.suites import Results


@contextmanager
def told_to_pipelines(out: str | None, name: str) -> Iterator[None]:
    """Whatever breaks a run off is an error in the folder's files for CI systems.

    Each is written where it can be and where none stands.

    Args:
        out: the folder of the run; None: nobody named one, and nothing is written.
        name: of what was to be run.
    """
    try:
        yield
    except Exception as error:
        if out and not interruption.came():
            _tell(Path(out), name, error)
        raise


def results_without_report(name: str, error: Exception) -> Results:
    """What broke a run off, as results for CI systems.

    Args:
        name: of what was to be run.
        error: what broke it off.
    """
    from assay_runner.errors import as_audit_error, name_of
    from assay_runner.moments import utc_now
    from assay_runner.report.suites import broken_off

    failure = as_audit_error(error)
    return broken_off(name, name_of(failure), str(failure), utc_now())


def _tell(folder: Path, name: str, error: Exception) -> None:
    from assay_runner.report import render_ctrf, render_junit

    results = results_without_report(name, error)
    for file, content in ((REPORT_JUNIT, render_junit(results)), (REPORT_CTRF, render_ctrf(results))):
        with suppress(OSError):
            folder.mkdir(parents=True, exist_ok=True)
            # What stands there is another's, or of a run that has a report: ours of an earlier one is gone by now.
            with (folder / file).open("xb") as opened:
                opened.write(content)
