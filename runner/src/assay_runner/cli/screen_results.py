"""Reports of screenings as a user names them: a file, or a screening of the cluster that has ended."""

from __future__ import annotations

import json
from typing import Final

from pydantic import ValidationError

from assay_api.model import problems
from assay_api.names import ANNOTATION_RERUN, ExitCode
from assay_api.screening import ScreenReport
from assay_runner.cli.kubectl import Place
from assay_runner.cli.report import stored_report
from assay_runner.cli.standing import Standing
from assay_runner.errors import InvalidInput, Unavailable

SCREENING: Final = "screening/"
WITH_REPORT: Final = (ExitCode.PASSED, ExitCode.BREACHED, ExitCode.INCONCLUSIVE)


def is_screening(content: bytes) -> bool:
    """Whether a file is the report of a screening, whatever it is called."""
    try:
        found = json.loads(content)
    except (ValueError, RecursionError):
        return False
    return isinstance(found, dict) and {"devices", "rule"} <= found.keys()


def parsed_screening(content: bytes, place: str) -> ScreenReport:
    """The report of a screening from its JSON.

    Raises:
        InvalidInput: it is damaged, or of a version that this one does not read.
    """
    try:
        return ScreenReport.model_validate_json(content)
    except ValidationError as error:
        raise InvalidInput(
            f"{place} is a damaged report of a screening, or one of another Assay: {problems(error)[0]}; screen again "
            f"(in a cluster with a new {ANNOTATION_RERUN}), or read it with the Assay that wrote it"
        ) from error


def screening_of_cluster(place: Place, now: Standing) -> ScreenReport:
    """The report of a screening in the cluster, whose run has ended.

    Args:
        place: the screening.
        now: where it stands.

    Raises:
        InvalidInput: its spec is wrong, so that what there is of a report is of an earlier run.
        Unavailable: it ended without a report, or the store does not answer.
    """
    if now.code not in WITH_REPORT:
        kind = InvalidInput if now.code == ExitCode.INVALID_INPUT else Unavailable
        raise kind(f"{place} ended without a report: {now.message or now.reason}")
    return parsed_screening(stored_report(place), f"the report of {place}")
