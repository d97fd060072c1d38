"""The GPUs of a screening as suites of cases: a suite per machine, a case per GPU.

A case is named by the GPU alone, so that a CI system sees the same one from screening to screening. One that was
skipped is an error, as is one of which nothing can be said: neither was found to be right.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from typing import Final

from assay_api.finding import worst
from assay_api.screening import DeviceEntry, Difference, ScreenReport
from assay_runner.report.suites import OUTCOMES, Case, Results, Suite, unexplained

EMULATED: Final = "The CPU stood in for GPUs: this says nothing of any GPU."


def results_of_screen(report: ScreenReport, of: str = "") -> Results:
    """The results of a screening; all passed only where every GPU was scanned and none deviated.

    Args:
        report: of one machine, or of several.
        of: name of the screening; without one, the plan's.
    """

    def host(entry: DeviceEntry) -> str:
        return entry.host or report.host

    facts, out = _facts(report), EMULATED if report.emulated else ""
    suites = [
        Suite(name, tuple(map(_case, entries)), facts, out)
        for name, entries in groupby(sorted(report.devices, key=host), key=host)
    ]
    if not report.devices or worst(each.verdict for each in report.devices) is not report.verdict:
        suites.append(Suite("screening", (unexplained(report.verdict, report.message),), facts, out))
    return Results(of or report.subject, tuple(suites), report.made, report.version, report.sha256)


def _case(entry: DeviceEntry) -> Case:
    outcome, text = OUTCOMES[entry.verdict], "\n".join(_told(entry))
    if outcome == "passed":
        return Case(entry.device, outcome, text=text, seconds=entry.seconds)
    kind = "screening.Skipped" if entry.state == "Skipped" else f"screening.{entry.verdict}"
    return Case(entry.device, outcome, kind, entry.message, text, entry.seconds)


def _told(entry: DeviceEntry) -> Iterator[str]:
    kind = entry.kind
    yield entry.message
    yield f"  class: {', '.join(filter(None, (kind.product, kind.mig, kind.driver, kind.ecc and f'ECC {kind.ecc}')))}"
    for phase in entry.phases:
        yield f"  {phase.name}: {phase.runs} runs, {phase.deviations} deviate"
    yield from map(_difference, entry.differences)


def _difference(each: Difference) -> str:
    bits = f", bits {', '.join(map(str, each.bits))}" if each.bits else ""
    every = f", one in {each.period}" if each.period else ""
    return f"  input {each.input}, {each.tensor}: {each.elements} of {each.of} elements differ{bits}{every}"


def _facts(report: ScreenReport) -> tuple[tuple[str, str], ...]:
    """What a dashboard may want to read off a suite."""
    return (
        ("plan", report.subject),
        ("sha256", report.sha256),
        ("inputs", report.inputs),
        ("rule", report.rule),
        ("verdict", str(report.verdict)),
        ("emulated", "true" if report.emulated else "false"),
    )
