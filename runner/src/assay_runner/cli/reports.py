"""Reports as a user names them: a file, a folder with one, a URI, or an audit in the cluster."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Final

from pydantic import ValidationError

from assay_api.audit import Storage
from assay_api.model import parse, problems
from assay_api.names import REPORT_JSON, REPORT_VERSION
from assay_api.report import Report
from assay_runner.cli.kubectl import Place
from assay_runner.cli.places import absolute
from assay_runner.errors import InvalidInput
from assay_runner.stores import Store, join, open_store

AUDIT: Final = "audit/"


def read_report(given: str, namespace: str | None = None, context: str | None = None) -> Report:
    """The report that is named: `report.json`, a folder with one, a URI of either, or `audit/NAME` in the cluster.

    Raises:
        InvalidInput: there is none, or it is no report of this version.
        Unavailable: the store or the cluster does not answer, or the audit has no report yet.
    """
    if given.startswith(AUDIT):
        # What reads an audit's status and its storage is not loaded for two files.
        from assay_runner.cli.report import stored_report

        return parsed(stored_report(Place(given.removeprefix(AUDIT), namespace, context)), given)
    content = content_at(open_store(Storage()), given, "the report", (REPORT_JSON,))
    if content is None:
        raise InvalidInput(
            f"there is no report {given}, nor a {REPORT_JSON} in a folder of that name: give one of `assay run`'s, "
            f"or {AUDIT}NAME of one in the cluster"
        )
    return parsed(content, given)


def content_at(store: Store, given: str, what: str, names: Sequence[str]) -> bytes | None:
    """What a user names: a file or URI, or the first of `names` in a folder; None where there is none of them.

    Raises:
        InvalidInput: `given` is relative, and the working folder is gone; `what` is meant by it.
        Unavailable: the store does not answer.
    """
    uri = given if "://" in given else f"file://{absolute(given, what)}"
    found = next((each for each in (uri, *(join(uri, name) for name in names)) if store.stat(each) is not None), None)
    return None if found is None else store.read(found)


def parsed(content: bytes, place: str) -> Report:
    """A report from its JSON.

    Raises:
        InvalidInput: it is none, or of another version of the format.
    """
    try:
        found = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f"{place} is no JSON: give a {REPORT_JSON} or a folder with one") from error
    version = found.get("version") if isinstance(found, dict) else None
    if version != REPORT_VERSION:
        told = f"its version is {str(version)[:60]!r}" if version else "it has no version"
        raise InvalidInput(f"{place} is no report that this Assay reads: {told}, and {REPORT_VERSION} is read")
    try:
        return parse(Report, found)
    except ValidationError as error:
        raise InvalidInput(f"{place} is a damaged report: {problems(error)[0]}") from error
