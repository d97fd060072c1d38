"""`assay baseline`: accept what a report says, and see what another report is beside it.

Records and pointers lie below `baselines/` of the artifacts (`tasks/baselines.py`). What audits and sweeps of a cluster
have answered is accepted there, by the credentials of their namespace (`baseline_cluster.py`).
"""

from __future__ import annotations

import argparse
import getpass
import hashlib
import os
from contextlib import suppress
from typing import Final

from assay_api.audit import Storage
from assay_api.names import ExitCode
from assay_api.plan import baselines_folder, cache_folder
from assay_api.report import CandidateReport, Report, to_json
from assay_runner.cli.report import ENV_ENDPOINT
from assay_runner.cli.reports import AUDIT, read_report
from assay_runner.cli.tables import print_table
from assay_runner.errors import InvalidInput
from assay_runner.moments import utc_now
from assay_runner.report.baseline import Beside, overall, unfit
from assay_runner.report.wording import visible
from assay_runner.stores import Store, open_store
from assay_runner.tasks.baselines import Baselines

OF_SWEEPS: Final = ("model", "cell", "cause", "image")
NARROWING: Final = (*OF_SWEEPS, "candidate", "sweep", "who", "store")
"""Options that mean more, or somebody else, where they are left out: an empty one is a variable that was not set."""
CODES: Final = {"Regressed": ExitCode.BREACHED, "Inconclusive": ExitCode.INCONCLUSIVE, "New": ExitCode.INCONCLUSIVE}


def command(arguments: argparse.Namespace) -> int:
    """Accept or show."""
    if arguments.what == "accept" and not arguments.why.strip():
        raise InvalidInput("--why is empty: say in a few words why this is accepted")
    for name in NARROWING:
        if (value := getattr(arguments, name, None)) is not None and not value.strip():
            raise InvalidInput(f"--{name} is empty, as where a variable was not set: give it a value, or leave it out")
    if arguments.sweep or (arguments.what == "accept" and arguments.report and _in_cluster(arguments)):
        from assay_runner.cli import baseline_cluster

        return baseline_cluster.command(arguments)
    if not arguments.report:
        raise InvalidInput("say of which report: report.json, a folder or URI of one, audit/NAME, or --sweep NAME")
    if given := [f"--{name}" for name in OF_SWEEPS if getattr(arguments, name)]:
        raise InvalidInput(f"{given[0]} is of a sweep: give --sweep NAME, or leave it out")
    report = read_report(arguments.report, arguments.namespace, arguments.context)
    kept = Baselines(*_where(report, arguments.store))
    chosen = _chosen(report, arguments.candidate)
    if arguments.what == "accept":
        return _accept(report, chosen, kept, arguments)
    return _show(report, chosen, kept)


def _in_cluster(arguments: argparse.Namespace) -> bool:
    """Whether the namespace's own credentials are to accept it; with a store of the user's choice, the user's do."""
    return bool(arguments.report.startswith(AUDIT)) and not arguments.store


def _accept(report: Report, chosen: list[CandidateReport], kept: Baselines, arguments: argparse.Namespace) -> int:
    """Move the pointers of all candidates that may be moved; 64 where one may not."""
    sha256 = hashlib.sha256(to_json(report)).hexdigest()
    refused = False
    for candidate in chosen:
        if reasons := unfit(report, candidate):
            refused = True
            print(f"{candidate.name}: not accepted: {'; '.join(map(visible, reasons))}")
            continue
        pointer = kept.accept(report, candidate, sha256, arguments.who or _user(), arguments.why, utc_now())
        print(f"{candidate.name}: accepted by {visible(pointer.who)}, record {pointer.record[:12]}")
    return ExitCode.INVALID_INPUT if refused else ExitCode.PASSED


def _show(report: Report, chosen: list[CandidateReport], kept: Baselines) -> int:
    """Tell of each candidate what it is beside its baseline; 1: regressed, 2: new or not to be told, 0: else."""
    rows: list[tuple[str, ...]] = []
    found: list[Beside] = []
    for candidate in chosen:
        told, pointer = kept.beside(report, candidate)
        found.append(told)
        accepted = f"{pointer.when} by {pointer.who}: {pointer.why}" if pointer else "-"
        rows.append((candidate.name, told.state, told.why, accepted))
    print_table(("Candidate", "State", "Why", "Accepted"), rows)
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
    return open_store(Storage(endpoint=endpoint, region=storage.region)), baselines_folder(cache_folder(artifacts))


def _chosen(report: Report, wanted: str | None) -> list[CandidateReport]:
    every = list(report.candidates)
    found = [each for each in every if wanted in (None, each.name)]
    if not found:
        names = ", ".join(each.name for each in every) or "none"
        raise InvalidInput(
            f"the report has no candidate {wanted}: there are {names}" if wanted else "it has no candidate"
        )
    return found


def _user() -> str:
    """Who runs the command; a container's user has no name."""
    with suppress(OSError, KeyError, ImportError):
        return getpass.getuser()
    return "unknown"
