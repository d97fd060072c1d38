"""`assay baseline`: accept what a report says, and see what another report is beside it.

Records and pointers lie below `baselines/` of the artifacts. A record goes first and never changes; a pointer is one
small object, so that whoever reads it sees the one before or the one after.
"""

from __future__ import annotations

import argparse
import getpass
import hashlib
import os
from contextlib import suppress
from datetime import datetime, timezone
from typing import Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from assay_api.audit import Storage
from assay_api.names import ExitCode
from assay_api.report import CandidateReport, Report, to_json
from assay_runner.cli.report import ENV_ENDPOINT
from assay_runner.cli.reports import read_report
from assay_runner.errors import InvalidInput
from assay_runner.report.baseline import (
    BaselinePointer,
    BaselineRecord,
    Beside,
    beside,
    overall,
    place_of,
    record_of,
    unfit,
)
from assay_runner.report.wording import visible
from assay_runner.stores import Store, join, open_store
from assay_runner.stores.sealed import put_record
from assay_runner.stores.sealed import read_record as read_sealed

FOLDER: Final = "baselines"
WHAT: Final = "baseline"
CODES: Final = {"Regressed": ExitCode.BREACHED, "Inconclusive": ExitCode.INCONCLUSIVE, "New": ExitCode.INCONCLUSIVE}


def command(arguments: argparse.Namespace) -> int:
    """Accept or show."""
    report = read_report(arguments.report, arguments.namespace, arguments.context)
    store, folder = _where(report, arguments.store)
    chosen = _chosen(report, arguments.candidate)
    if arguments.what == "accept":
        return _accept(report, chosen, store, folder, arguments)
    return _show(report, chosen, store, folder)


def _accept(
    report: Report, chosen: list[CandidateReport], store: Store, folder: str, arguments: argparse.Namespace
) -> int:
    """Move the pointers of all candidates that may be moved; 64 where one may not."""
    if not arguments.why.strip():
        raise InvalidInput("--why is empty: say in a few words why this is accepted")
    sha256 = hashlib.sha256(to_json(report)).hexdigest()
    refused = False
    for candidate in chosen:
        if reasons := unfit(report, candidate):
            refused = True
            print(f"{candidate.name}: not accepted: {'; '.join(map(visible, reasons))}")
            continue
        record = record_of(report, candidate, sha256)
        name = hashlib.sha256(record.model_dump_json(by_alias=True).encode()).hexdigest()
        put_record(store, join(folder, "records", f"{name}.json"), record)
        before = _pointer(report, candidate, store, folder)
        when = datetime.now(timezone.utc).isoformat(timespec="seconds").replace("+00:00", "Z")
        pointer = BaselinePointer(
            who=arguments.who or _user(), when=when, why=arguments.why, record=name,
            previous=before.record if before else None,
        )  # fmt: skip
        put_record(store, _place(report, candidate, folder), pointer)
        print(f"{candidate.name}: accepted by {visible(pointer.who)}, record {name[:12]}")
    return ExitCode.INVALID_INPUT if refused else ExitCode.PASSED


def _show(report: Report, chosen: list[CandidateReport], store: Store, folder: str) -> int:
    """Tell of each candidate what it is beside its baseline; 1: regressed, 2: new or not to be told, 0: else."""
    table = Table("Candidate", "State", "Why", "Accepted", box=None)
    found: list[Beside] = []
    for candidate in chosen:
        pointer = _pointer(report, candidate, store, folder)
        told = beside(_record(pointer, store, folder), report, candidate)
        found.append(told)
        accepted = f"{pointer.when} by {pointer.who}: {pointer.why}" if pointer else "-"
        table.add_row(*(Text(visible(text)) for text in (candidate.name, told.state, told.why, accepted)))
    Console().print(table)
    return CODES.get(overall(found), ExitCode.PASSED)


def _where(report: Report, given: str | None) -> tuple[Store, str]:
    """The store, and the URI of the folder of baselines in it."""
    if report.spec is None:
        raise InvalidInput("the report does not carry its audit's spec, so what it is of is not known: give another")
    artifacts = given or report.spec.artifacts.uri
    if artifacts.startswith("file://") and not artifacts.startswith("file:///"):
        raise InvalidInput(
            f"artifacts.uri of this report is {artifacts}, relative to an audit's file that is not known here: "
            "say where baselines lie by --store"
        )
    if "://" not in artifacts:
        raise InvalidInput(f"--store takes a URI, s3://bucket/prefix or file:///folder; got {artifacts!r}")
    storage = report.spec.storage if not given else Storage()
    # As for `assay report`: an endpoint that only the cluster reaches is replaced by the user's own.
    endpoint = None if os.environ.get(ENV_ENDPOINT) else storage.endpoint
    return open_store(Storage(endpoint=endpoint, region=storage.region)), join(artifacts, FOLDER)


def _chosen(report: Report, wanted: str | None) -> list[CandidateReport]:
    every = list(report.candidates)
    found = [each for each in every if wanted in (None, each.name)]
    if not found:
        names = ", ".join(each.name for each in every) or "none"
        raise InvalidInput(
            f"the report has no candidate {wanted}: there are {names}" if wanted else "it has no candidate"
        )
    return found


def _pointer(report: Report, candidate: CandidateReport, store: Store, folder: str) -> BaselinePointer | None:
    return read_sealed(store, _place(report, candidate, folder), BaselinePointer, WHAT)


def _record(pointer: BaselinePointer | None, store: Store, folder: str) -> BaselineRecord | None:
    """The record that is accepted.

    Raises:
        InvalidInput: the pointer leads to none.
        Damaged: it is not as it was stored.
    """
    if pointer is None:
        return None
    uri = join(folder, "records", f"{pointer.record}.json")
    record = read_sealed(store, uri, BaselineRecord, WHAT)
    if record is None:
        raise InvalidInput(f"the accepted record {uri} is gone: accept another report")
    return record


def _place(report: Report, candidate: CandidateReport, folder: str) -> str:
    return join(folder, f"{place_of(report, candidate)}.json")


def _user() -> str:
    """Who runs the command; a container's user has no name."""
    with suppress(OSError, KeyError, ImportError):
        return getpass.getuser()
    return "unknown"
