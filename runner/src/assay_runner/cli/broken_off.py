"""A run that ended without a report, told in junit.xml: a pipeline that reads nothing else must not see nothing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from assay_api.names import REPORT_JUNIT
from assay_runner import interruption


@contextmanager
def told_in_junit(out: str | None, name: str) -> Iterator[None]:
    """Whatever breaks a run off is an error in the folder's junit.xml, where one can be written and none stands there.

    Args:
        out: the folder of the run; None: nobody named one, and nothing is written.
        name: of what was to be run.
    """
    try:
        yield
    except Exception as error:
        if out and not interruption.came():
            with suppress(OSError):
                _tell(Path(out), name, error)
        raise


def _tell(folder: Path, name: str, error: Exception) -> None:
    from assay_runner.errors import as_audit_error, name_of
    from assay_runner.report.junit import broken_off

    failure = as_audit_error(error)
    folder.mkdir(parents=True, exist_ok=True)
    # What stands there is somebody else's, or of a run that has a report: ours of an earlier one is gone by now.
    with (folder / REPORT_JUNIT).open("xb") as file:
        file.write(broken_off(name, name_of(failure), str(failure)))
