"""`assay report`: the page of an audit in the cluster, fetched with the user's own rights and opened.

The page of a sweep or a screening is made here: of what the cluster tells, and of the screening's report.

What the audit's status says about its storage is used, and the user's own AWS environment for the rest. An endpoint
that only the cluster can reach is replaced by AWS_ENDPOINT_URL_S3, where the user has set it.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pydantic import ValidationError

from assay_api.audit import Storage
from assay_api.model import parse
from assay_api.names import ANNOTATION_RERUN, ENV_RETRY_SECONDS, REPORT_HTML, REPORT_JSON, Phase
from assay_runner.cli.failures import say
from assay_runner.cli.kubectl import Place, read_object
from assay_runner.cli.opening import shown
from assay_runner.cli.places import absolute, temporary
from assay_runner.errors import AuditError, InvalidInput, NotYet, Unavailable, Unreachable
from assay_runner.raw import mapping, objects
from assay_runner.stores import beside, open_store
from assay_runner.stores.files import disk_error, whole_file

if TYPE_CHECKING:
    from assay_runner.stores import Store

PATIENCE: Final = "20"
"""Seconds that storage which does not answer is waited for, unless the environment says otherwise."""
ENV_ENDPOINT: Final = "AWS_ENDPOINT_URL_S3"


def command(arguments: argparse.Namespace) -> int:
    """Fetch the page, or make that of a sweep or a screening, print its path and open it."""
    if arguments.sweep or arguments.screening:
        return _made(arguments)
    place = Place(arguments.name, arguments.namespace, arguments.context)
    audit = read_object(place)
    status = mapping(audit.get("status"))
    page = _candidate_page(status, place, arguments.candidate) if arguments.candidate else _page(audit, status, place)
    os.environ.setdefault(ENV_RETRY_SECONDS, PATIENCE)
    store = open_store(_storage(audit), notify=say)
    with _target(arguments.out, place) as target:
        _fetch(store, page, target, place)
    if not arguments.out and not arguments.candidate:
        _fetch_candidates(store, page, status, target.parent)
    return shown(target, to_open=not arguments.no_open)


def _made(arguments: argparse.Namespace) -> int:
    word = "sweep" if arguments.sweep else "screening"
    if arguments.candidate and arguments.sweep:
        raise InvalidInput("--candidate is of an audit, whose name its sweep's page tells: leave out --sweep")
    if arguments.candidate:
        raise InvalidInput("--candidate is of an audit, and a screening has none: leave it out")
    place = Place(arguments.name, arguments.namespace, arguments.context, word)
    page = _page_made(place)
    with _target(arguments.out, place) as target, whole_file(target, len(page)) as file:
        file.write(page)
    return shown(target, to_open=not arguments.no_open)


def _page_made(place: Place) -> bytes:
    if place.word == "sweep":
        from assay_runner.cli.sweep_report import page_of_sweep

        return page_of_sweep(place)
    from assay_runner.cli.screen_report import page_of_screening

    return page_of_screening(place)


def stored_report(place: Place) -> bytes:
    """`report.json` of an audit in the cluster, or `screen.json` of a screening, as its status names it.

    Raises: as `report_of`.
    """
    return report_of(read_object(place), place)


def report_of(audit: Mapping[str, Any], place: Place) -> bytes:
    """The same of an audit or a screening that has been read.

    Raises:
        InvalidInput: there is no such audit, it ended without a report because of its input, or what lies there is not
            what its status names.
        Unavailable: it has no report yet, or the cluster or the store does not answer.
    """
    status = mapping(audit.get("status"))
    page = _page(audit, status, place)
    told = mapping(status.get("report"))
    uri = str(told.get("uri") or beside(page, REPORT_JSON))
    os.environ.setdefault(ENV_RETRY_SECONDS, PATIENCE)
    content = _read(open_store(_storage(audit), notify=say), uri, place)
    if told.get("sha256") and hashlib.sha256(content).hexdigest() != told["sha256"]:
        raise InvalidInput(
            f"{uri} is not the report that the status of {place} names: its SHA-256 is another; annotate the "
            f"{place.word} with a new {ANNOTATION_RERUN} to make it again"
        )
    return content


def _page(audit: Mapping[str, Any], status: Mapping[str, Any], place: Place) -> str:
    """URI of the audit's page.

    Raises:
        InvalidInput: the audit ended without a report, because of its input.
        Unavailable: it has none yet, or ended without one.
    """
    report = mapping(status.get("report"))
    uri = report.get("page") or (beside(str(report["uri"]), REPORT_HTML) if report.get("uri") else None)
    if uri:
        if status.get("observedGeneration") != mapping(audit.get("metadata")).get("generation"):
            say(f"the spec of {place} has changed since: this is the report of the run before")
        return str(uri)
    ended = [c for c in objects(status.get("conditions")) if c.get("type") == "Complete" and c.get("status") == "True"]
    stalled = [c for c in objects(status.get("conditions")) if c.get("type") == "Stalled" and c.get("status") == "True"]
    for condition in (*ended, *stalled):
        told = " ".join(str(condition.get("message", "")).split()) or "see `kubectl describe`"
        kind = InvalidInput if condition.get("reason") == "InvalidInput" else Unavailable
        raise kind(f"{place} ended without a report: {told}")
    phase = str(status.get("phase") or Phase.PENDING)
    finished = f", {status['finished']} candidates finished" if status.get("finished") else ""
    wait = " ".join(
        ["kubectl wait --for=condition=Complete --timeout=2h", f"{place.word}/{place.name}", *place.options]
    )
    raise Unavailable(f"{place} has no report yet ({phase}{finished}): wait for it with `{wait}`")


def _candidate_page(status: Mapping[str, Any], place: Place, wanted: str) -> str:
    """URI of a candidate's own page.

    Raises:
        InvalidInput: the audit has no such candidate.
        Unavailable: the candidate has no report yet.
    """
    found = objects(status.get("candidates"))
    for entry in found:
        if entry.get("name") == wanted:
            if entry.get("reportUri"):
                return beside(str(entry["reportUri"]), REPORT_HTML)
            state = entry.get("state") or "Waiting"
            raise Unavailable(f"candidate {wanted} of {place} has no report ({state}): wait until it has finished")
    names = ", ".join(str(entry.get("name")) for entry in found)
    raise InvalidInput(f"{place} has no candidate {wanted} in its status: give one of {names or 'those of its spec'}")


def _storage(audit: Mapping[str, Any]) -> Storage:
    given = mapping(mapping(audit.get("spec")).get("storage"))
    kept = {key: given[key] for key in ("endpoint", "region") if given.get(key)}
    if os.environ.get(ENV_ENDPOINT):
        kept.pop("endpoint", None)
    try:
        return parse(Storage, kept)
    except ValidationError as error:
        raise InvalidInput("its spec.storage has no endpoint or region that can be used") from error


@contextmanager
def _target(out: str | None, place: Place) -> Iterator[Path]:
    """Where the page goes: the file asked for, or one in a new folder, which goes again where nothing came into it."""
    if out:
        yield absolute(out, "the file for the page")
        return
    try:
        folder = Path(tempfile.mkdtemp(prefix=f"assay-{place.name[:80]}-", dir=temporary()))
    except OSError as error:
        raise disk_error(error, temporary() / "assay") from error
    try:
        yield folder / REPORT_HTML
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def _fetch(store: Store, uri: str, target: Path, place: Place) -> None:
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise disk_error(error, target) from error
    with _reached(store, uri, place):
        store.get(uri, target)


def _read(store: Store, uri: str, place: Place) -> bytes:
    with _reached(store, uri, place):
        return store.read(uri)


@contextmanager
def _reached(store: Store, uri: str, place: Place) -> Iterator[None]:
    """What is read inside is there, and where it cannot be reached the sentence says by what way it could."""
    elsewhere = f"where only the cluster reaches the endpoint in its spec, forward its port and set {ENV_ENDPOINT}"
    in_s3 = uri.startswith("s3://")
    try:
        if store.stat(uri) is None:
            # Whoever answers here may be another than the one that the cluster knows by that name.
            asked = (
                f" as it is seen from here: {elsewhere}; where" if in_s3 else ", or never lay on this machine: where"
            )
            raise Unavailable(
                f"the report of {place} is not at {uri}{asked} it was removed, annotate the {place.word} with a new "
                f"{ANNOTATION_RERUN} to make it again"
            )
        yield
    except (Unreachable, NotYet) as error:
        amiss = isinstance(error, Unreachable) or "does not exist" in str(error)
        raise (type(error)(f"{error}; {elsewhere}") if in_s3 and amiss else error) from error


def _fetch_candidates(store: Store, page: str, status: Mapping[str, Any], folder: Path) -> None:
    """The candidates' own pages, beside the audit's as its links expect them; the answer stands without them."""
    base = page.rsplit("/", 1)[0] + "/"
    for entry in objects(status.get("candidates")):
        uri = beside(str(entry.get("reportUri") or ""), REPORT_HTML)
        name = uri.removeprefix(base).removesuffix(f"/{REPORT_HTML}")
        if not uri.startswith(base) or not name or "/" in name or name.startswith("."):
            continue
        try:
            (folder / name).mkdir(exist_ok=True)
            store.get(uri, folder / name / REPORT_HTML)
        except (AuditError, OSError) as error:
            say(f"the page of candidate {entry.get('name')} could not be fetched: {error}")
