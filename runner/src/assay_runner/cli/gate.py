"""`assay gate`: whether an upgrade may go ahead, per model and GPU product, with an exit code for CI."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from dataclasses import asdict
from typing import Final

from assay_api.gate import Gate
from assay_api.names import ExitCode
from assay_runner.cli.failures import printable, say
from assay_runner.cli.kubectl import Place
from assay_runner.cli.sweep_report import sweep_of
from assay_runner.cli.tables import print_told
from assay_runner.errors import InvalidInput, Unavailable
from assay_runner.report.gate_page import TITLES, engine_words, summary

EVERY_SECONDS: Final = 5.0


def command(arguments: argparse.Namespace) -> int:
    """Tell of an upgrade: 0 where it may go ahead, 1 where it may not, 2 where that cannot be told."""
    place = Place(arguments.name, arguments.namespace, arguments.context, "sweep")
    gate, ended = _gate(place, arguments.wait)
    if arguments.json:
        print(
            json.dumps(
                {
                    "decision": gate.decision,
                    "ended": ended,
                    "missing": gate.missing,
                    "rows": [asdict(row) for row in gate.rows],
                }
            )
        )
    else:
        _print(gate, arguments.all)
        for sentence in gate.missing if ended else ():
            print(printable(f"{sentence}."))
        print(f"{TITLES[gate.decision]}: {summary(gate)}")
    if not ended:
        say(f"{place} has not ended: this is what there is so far; wait for it with --wait SECONDS")
    return _code(gate, ended, arguments.with_remedy)


def _gate(place: Place, wait: float) -> tuple[Gate, bool]:
    """The gate, and whether the run has ended; waited for up to so many seconds."""
    end = time.monotonic() + wait
    while True:
        shown = sweep_of(place)
        if shown.gate is None:
            raise InvalidInput(
                f"{place} has no upgrade: set spec.upgrade with fromImage and toImage, or see `assay report "
                f"{place.name} --sweep`"
            )
        if shown.run_of.ended or wait == 0:
            return shown.gate, shown.run_of.ended
        if time.monotonic() > end:
            raise Unavailable(f"{place} did not end within {wait:g} s: see `kubectl describe sweep {place.name}`")
        time.sleep(min(EVERY_SECONDS, max(end - time.monotonic(), 0.1)))


def _code(gate: Gate, ended: bool, with_remedy: bool) -> ExitCode:
    # While a run goes on, the answers of before stand where new ones are to come: the operator's word counts.
    if gate.decision == "NoGo" and (ended or gate.said == "NoGo"):
        return ExitCode.BREACHED
    if gate.decision == "Inconclusive" or not ended:
        return ExitCode.INCONCLUSIVE
    return ExitCode.PASSED if gate.decision == "Go" or with_remedy else ExitCode.BREACHED


def _print(gate: Gate, everything: bool) -> None:
    if lines := list(_lines(gate, everything)):
        print_told(("Model", "GPU", "Candidate", "Decision", "Old engine", "New engine", "Why"), lines)


def _lines(gate: Gate, everything: bool) -> Iterator[tuple[str, ...]]:
    """A line per candidate; of those that may go ahead only what was cured, unless all are asked for."""
    for row in gate.rows:
        for each in row.judged:
            if everything or each.decision != "Go" or each.cured:
                name = f"{each.candidate}{' (existing plan)' if each.plan else ''}"
                decision = f"{TITLES[each.decision]}{', cured' if each.cured else ''}"
                old, new = engine_words(each.old), engine_words(each.new)
                yield row.model, row.product or "any", name, decision, old, new, each.why
