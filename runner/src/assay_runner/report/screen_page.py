"""The page of a screening: every device, scanned or skipped, and where the answers of those that deviate differ."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from assay_api.report import Verdict
from assay_api.screening import SCREEN_JSON, DeviceEntry, Difference, PhaseCount, ScreenReport
from assay_runner.report.frame import framed
from assay_runner.report.markup import Html, badge, code, data_block, el, facts, icon, join, row, table, tone

_TITLES: Final = {
    Verdict.FAILED: "Named",
    Verdict.INCONCLUSIVE: "Inconclusive",
    Verdict.PASSED: "No deviation",
}
_RULES: Final = {
    "digest": "a stored record",
    "majority": "most of at least three devices of one class",
    "none": "nothing: a record or three devices of one class would",
}
_HEADS: Final = ("Device", "Class", "Verdict", "Runs", "Deviate", "Excluded rate", "Time of a run", "What was seen")
_PHASES: Final = ("Device", "Phase", "Runs", "Deviate", "Time", "Runs per second")
_PARTS_HEADS: Final = ("Device", "Input", "Output", "Elements", "First", "Bits", "Period", "Largest difference")
_PARTS: Final = (("devices", "Devices"), ("differences", "Differences"), ("phases", "Cold and warm"))


def render_screen(report: ScreenReport) -> bytes:
    """A screening as one self-contained HTML page in UTF-8."""
    return framed(
        title=join([f"{_TITLES[report.verdict]}: {report.host} · Assay"]),
        verdict=report.verdict,
        links=join(el("a", {"href": f"#{target}"}, text) for target, text in _PARTS),
        main=join([_hero(report), _devices(report), _differences(report), _phases(report)]),
        data=data_block({}),
        source=SCREEN_JSON,
    )


def _hero(report: ScreenReport) -> Html:
    emulated = "The CPU stood in for GPUs: this says nothing of any GPU." if report.emulated else None
    return el(
        "section",
        {"class": f"hero {tone(report.verdict)}", "aria-label": "Verdict"},
        el("p", {"class": "audit"}, f"{report.host}, a screening"),
        el("h1", None, icon(report.verdict), el("span", None, _TITLES[report.verdict])),
        el("p", None, report.message),
        el("p", None, emulated) if emulated else None,
        facts(
            [
                ("Plan", report.subject),
                ("SHA-256", code(report.sha256[:16])),
                ("What is right is said by", _RULES[report.rule]),
                ("Ended", report.made),
            ]
        ),
    )


def _devices(report: ScreenReport) -> Html:
    return _section("devices", table("Devices", _HEADS, map(_device, report.devices)))


def _device(entry: DeviceEntry) -> Html:
    scanned = entry.state == "Scanned"
    return row(
        [
            _device_name(entry),
            _class(entry),
            badge(entry.verdict) if scanned else el("span", {"class": "quiet"}, "Skipped"),
            f"{entry.runs:,}" if scanned else "",
            f"{entry.deviations:,}" if scanned else "",
            f"{entry.excludes:.1e}" if entry.excludes is not None else "",
            f"{entry.milliseconds:.3g} ms" if entry.milliseconds is not None else "",
            entry.message,
        ]
    )


def _device_name(entry: DeviceEntry) -> Html:
    host = [f"{entry.host} "] if entry.host else []
    return el("span", None, *host, code(entry.device))


def _class(entry: DeviceEntry) -> str:
    kind = entry.kind
    ecc = f"ECC {kind.ecc.lower()}" if kind.ecc else ""
    return ", ".join(filter(None, (kind.product, kind.mig, f"driver {kind.driver}" if kind.driver else "", ecc)))


def _differences(report: ScreenReport) -> Html:
    rows = [_difference(entry, each) for entry in report.devices for each in entry.differences]
    none = el("p", {"class": "quiet"}, "None that is kept.")
    return _section("differences", table("Differences", _PARTS_HEADS, rows) if rows else none)


def _difference(entry: DeviceEntry, each: Difference) -> Html:
    return row(
        [
            _device_name(entry),
            str(each.input),
            code(each.tensor),
            f"{each.elements:,} of {each.of:,}",
            ", ".join(map(str, each.first)),
            ", ".join(map(str, each.bits)),
            str(each.period or ""),
            f"{each.max_abs:.3g}" if each.max_abs is not None else "",
        ]
    )


def _phases(report: ScreenReport) -> Html:
    def rows() -> Iterator[Html]:
        for entry in report.devices:
            for phase in entry.phases:
                counts = (f"{phase.runs:,}", f"{phase.deviations:,}")
                yield row([_device_name(entry), phase.name, *counts, *_pace(phase)])

    found = list(rows())
    none = el("p", {"class": "quiet"}, "Nothing was scanned.")
    return _section("phases", table("Cold and warm", _PHASES, found) if found else none)


def _pace(phase: PhaseCount) -> tuple[str, str]:
    """Time and runs per second of a phase, where they are known."""
    if not phase.seconds:
        return "", ""
    return f"{phase.seconds:.3g} s", f"{phase.runs / phase.seconds:,.0f}"


def _section(key: str, *children: Html) -> Html:
    return el("section", {"aria-labelledby": key}, el("h2", {"id": key}, dict(_PARTS)[key]), *children)
