"""The digest of a report, stored beside it: a report that was changed in the store since is not taken up as an answer.

The seal goes first and report.json last, so that whoever sees report.json sees a finished task. A Pod that is killed
between the two, or two Pods of one task at once, leave a seal that does not match: the task is then done again.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

from assay_api.model import Model
from assay_api.names import REPORT_JSON
from assay_runner.stores import join
from assay_runner.stores.sealed import Damaged, look_up, put_record, read_record, read_whole

if TYPE_CHECKING:
    from assay_runner.stores import Store

SEAL: Final = "report.sealed.json"
WHAT: Final = "report"


class ReportSeal(Model):
    """What was stored as report.json in the same folder."""

    report: str
    """SHA-256 of it."""


def put_report(store: Store, folder: str, content: bytes) -> str:
    """Store a report and what it is held against; returns its SHA-256 in hexadecimal."""
    sha256 = hashlib.sha256(content).hexdigest()
    put_record(store, join(folder, SEAL), ReportSeal(report=sha256))
    store.put(join(folder, REPORT_JSON), content, "application/json")
    return sha256


def read_report(store: Store, folder: str, told: str | None = None) -> tuple[bytes, str] | None:
    """The folder's report and its SHA-256, or None where there is none, or one that nothing vouches for.

    Args:
        store: where it lies.
        folder: its folder.
        told: the SHA-256 that its task told of; without it the report is held against its seal.

    Raises:
        Damaged: it is not as it was stored.
        Unavailable: the store does not answer, or nothing can be stored there before something is removed.
    """
    uri = join(folder, REPORT_JSON)
    content = read_whole(store, uri, WHAT, REPORT_JSON) if look_up(store, uri, WHAT, REPORT_JSON) else None
    if content is None:
        return None
    if told is None:
        seal = read_record(store, join(folder, SEAL), ReportSeal, WHAT)
        if seal is None:
            return None
        told = seal.report
    sha256 = hashlib.sha256(content).hexdigest()
    if sha256 != told:
        raise Damaged(WHAT, f"it has SHA-256 {sha256}, and its task stored SHA-256 {told}", uri)
    return content, sha256
