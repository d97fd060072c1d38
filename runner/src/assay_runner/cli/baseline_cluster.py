"""`assay baseline` of audits and sweeps in the cluster: asked for by an annotation, done there, read off statuses."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Mapping
from typing import Any, Final

from assay_api.baseline import MATTERS, asked_digest, most_urgent
from assay_api.names import ANNOTATION_ACCEPT, ExitCode
from assay_runner.cli.baseline import CODES
from assay_runner.cli.failures import say
from assay_runner.cli.kubectl import Place, annotate, read_object, whoami
from assay_runner.cli.reports import AUDIT
from assay_runner.cli.sweep_report import sweep_of
from assay_runner.cli.tables import print_table
from assay_runner.errors import InvalidInput, Unavailable
from assay_runner.report.sweep_cells import CellShown
from assay_runner.report.wording import visible

EVERY_SECONDS: Final = 1.0
MOST_SHOWN: Final = 100


def command(arguments: argparse.Namespace) -> int:
    """Accept answers of an audit or a sweep, or show those of a sweep."""
    if arguments.store:
        raise InvalidInput("--store is of a report here: what a sweep's audits answered is kept beside their artifacts")
    if arguments.sweep and arguments.report:
        raise InvalidInput(f"{arguments.report} and --sweep {arguments.sweep} are two things: give one of them")
    if arguments.sweep:
        place = Place(arguments.sweep, arguments.namespace, arguments.context, "sweep")
        return _accept(place, arguments) if arguments.what == "accept" else _show(place, arguments)
    place = Place(arguments.report.removeprefix(AUDIT), arguments.namespace, arguments.context)
    if arguments.model or arguments.image or arguments.cell:
        raise InvalidInput("--model, --image and --cell are of a sweep: an audit's answers are told by --candidate")
    return _accept(place, arguments)


def _accept(place: Place, arguments: argparse.Namespace) -> int:
    """Annotate, wait until that is dealt with, and tell what came of it: 64 where something was refused."""
    before = read_object(place)
    text = json.dumps(_asked(before, place, arguments), ensure_ascii=False)
    annotate(place, ANNOTATION_ACCEPT, text)
    found = _dealt_with(place, asked_digest(text), arguments.timeout)
    accepted, refused = int(found.get("accepted") or 0), int(found.get("refused") or 0)
    print(f"{place.name}: {accepted} accepted by {visible(str(found.get('who') or ''))}, {refused} refused")
    if found.get("message"):
        print(visible(str(found["message"])))
    return ExitCode.INVALID_INPUT if refused or not accepted else ExitCode.PASSED


def _asked(before: Mapping[str, Any], place: Place, arguments: argparse.Namespace) -> dict[str, str]:
    """What the annotation says."""
    model, candidate = arguments.model, arguments.candidate
    if arguments.cell:
        if model or candidate:
            raise InvalidInput("--cell names model and candidate: leave out --model and --candidate")
        model, slash, candidate = arguments.cell.rpartition("/")
        if not (model and slash and candidate):
            raise InvalidInput(f"--cell takes MODEL/CANDIDATE or MODEL/CANDIDATE@PRODUCT, got {arguments.cell!r}")
    status = before.get("status")
    run = status.get("run") if isinstance(status, Mapping) and place.word == "audit" else None
    named = {
        "why": arguments.why.strip(), "who": arguments.who or whoami(place), "model": model, "candidate": candidate,
        "image": arguments.image, "cause": arguments.cause, "run": run, "at": f"{time.time():.3f}",
    }  # fmt: skip
    return {key: value for key, value in named.items() if value}


def _dealt_with(place: Place, asked: str, seconds: float) -> Mapping[str, Any]:
    """What the status says of the acceptance once nothing of it is waited for.

    Raises:
        Unavailable: that takes too long.
    """
    end = time.monotonic() + seconds
    told = False
    while True:
        status = read_object(place).get("status")
        found = status.get("accepted") if isinstance(status, Mapping) else None
        if isinstance(found, Mapping) and found.get("asked") == asked and not found.get("waiting"):
            return found
        if time.monotonic() > end:
            raise Unavailable(
                f"{place} is annotated, and its answers are not accepted yet: `kubectl describe {place.word} "
                f"{place.name}` says what they wait for; status.accepted tells what comes of it"
            )
        if not told:
            say(f"waiting for {place} to be dealt with")
            told = True
        time.sleep(EVERY_SECONDS)


def _show(place: Place, arguments: argparse.Namespace) -> int:
    """Tell of the cells of a sweep what they are beside their baselines; exit codes as for a report."""
    cells = [cell for cell in sweep_of(place).cells if _wanted(cell, arguments)]
    if not cells:
        raise InvalidInput(f"{place} has no such cell: see `assay report {place.name} --sweep` for those there are")
    order = (*MATTERS, "")
    cells.sort(key=lambda cell: (order.index(cell.state), cell.cause, cell.model, cell.column))
    rows: list[tuple[str, ...]] = []
    for cell in cells[:MOST_SHOWN]:
        name = f"{cell.model}/{cell.column.candidate}"
        why = cell.beside or cell.message
        rows.append((name, cell.state or "-", why, cell.cause if cell.state == "Regressed" else ""))
    print_table(("Cell", "State", "Why", "Cause"), rows)
    if len(cells) > MOST_SHOWN:
        print(f"and {len(cells) - MOST_SHOWN} more")
    return CODES.get(most_urgent(cell.state or "New" for cell in cells) or "New", ExitCode.PASSED)


def _wanted(cell: CellShown, arguments: argparse.Namespace) -> bool:
    model, candidate = arguments.model, arguments.candidate
    if arguments.cell:
        model, _, candidate = arguments.cell.rpartition("/")
    key = cell.column.candidate
    return (
        model in (None, cell.model)
        and candidate in (None, key, key.partition("@")[0])
        and arguments.image in (None, cell.column.image)
        and (arguments.cause is None or arguments.cause in (cell.cause, *cell.causes))
    )
