"""The page of a screening: the verdict, a map of nodes and GPUs by comparison class, what was found, what to do."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from assay_api.report import Verdict
from assay_api.screening import SCREEN_JSON, ScreenReport
from assay_runner.report.frame import framed
from assay_runner.report.markup import Html, code, data_block, el, facts, icon, join, tone
from assay_runner.report.screen_findings import MOST_LISTED, found_cards, reasons, runs_table, steps
from assay_runner.report.screen_map import RULES, class_maps, counted, excluded_words
from assay_runner.report.screen_next import Line, steps_kept, steps_skipped, steps_unclear
from assay_runner.report.screen_shown import ClassShown, DeviceShown, by_outcome, classes_of

TITLES: Final = {
    Verdict.FAILED: "Named",
    Verdict.INCONCLUSIVE: "Inconclusive",
    Verdict.PASSED: "No deviation",
}
EMULATED: Final = "The CPU stood in for GPUs: this says nothing of any GPU."
UNKNOWN: Final = "Of rarer faults, other kernels and other data nothing is known: that a GPU is in order is never said."
STYLES: Final = ("sweep.css", "screen.css")
_PARTS: Final = (
    ("map", "Map"), ("found", "GPUs that differ or hang"), ("unclear", "Nothing can be said"),
    ("skipped", "Not screened"), ("runs", "Runs and times"),
)  # fmt: skip


def render_screen(report: ScreenReport, of: str = "", notice: str = "") -> bytes:
    """A screening as one self-contained HTML page in UTF-8.

    Args:
        report: of one machine, or of several.
        of: `namespace/name` of the screening in the cluster, or nothing.
        notice: what must be known before all else, such as that a newer run is under way.
    """
    classes = classes_of(report)
    sections = list(_sections(report, classes, of))
    return framed(
        title=join([f"{TITLES[report.verdict]}: {of or report.host} · Assay"]),
        verdict=report.verdict,
        links=join(el("a", {"href": f"#{key}"}, dict(_PARTS)[key]) for key, _ in sections),
        main=join([_hero(report, classes, of, notice), *(section for _, section in sections)]),
        data=data_block({}),
        source=SCREEN_JSON,
        styles=STYLES,
    )


def _hero(report: ScreenReport, classes: Sequence[ClassShown], of: str, notice: str) -> Html:
    devices = [each for kind in classes for each in kind.devices]
    excluded = max((kind.excluded for kind in classes if kind.excluded), default=None)
    return el(
        "section",
        {"class": f"hero {tone(report.verdict)}", "aria-label": "Verdict"},
        el("p", {"class": "audit"}, f"{of or report.host}, a screening" + (f" of {report.host}" if of else "")),
        el("h1", None, icon(report.verdict), el("span", None, TITLES[report.verdict])),
        el("p", {"class": "emulated"}, notice) if notice else None,
        el("p", {"class": "headline"}, f"{counted(devices)}."),
        el("p", None, report.message),
        el("p", {"class": "emulated"}, EMULATED) if report.emulated else None,
        el("p", None, f"Where a GPU agreed, {excluded_words(excluded)}. {UNKNOWN}") if excluded else None,
        facts(
            [
                ("Plan", report.subject),
                ("SHA-256 of the plan", code(report.sha256[:16])),
                ("Digest of the inputs", code(report.inputs[:16] or None)),
                ("What is right is said by", RULES[report.rule]),
                ("Ended", report.made),
                ("Assay", report.version),
            ]
        ),
    )


def _sections(report: ScreenReport, classes: Sequence[ClassShown], of: str) -> Iterator[tuple[str, Html]]:
    """Key and section of each part that there is."""
    found = by_outcome(classes, "differs") + by_outcome(classes, "hung")
    found.sort(key=lambda each: each.entry.verdict is not Verdict.FAILED)
    unclear, skipped = by_outcome(classes, "unclear"), by_outcome(classes, "skipped")
    scanned = [each for each in (*found, *unclear, *by_outcome(classes, "agreed")) if not each.whole_node]
    linked = frozenset(each.number for each in found[:MOST_LISTED])
    yield "map", _section("map", *class_maps(classes, linked))
    kept = report.verdict is Verdict.PASSED and report.rule == "majority"
    yield "found", _section("found", *found_cards(found), steps(steps_kept()) if kept else None)
    if unclear:
        yield "unclear", _told("unclear", unclear, steps_unclear())
    if skipped:
        yield "skipped", _told("skipped", skipped, steps_skipped(of))
    yield "runs", _section("runs", *runs_table(scanned))


def _told(key: str, devices: Sequence[DeviceShown], after: Iterator[Line]) -> Html:
    return _section(key, *reasons(devices, dict(_PARTS)[key]), steps(after))


def _section(key: str, *children: Html | None) -> Html:
    return el("section", {"aria-labelledby": key}, el("h2", {"id": key}, dict(_PARTS)[key]), *children)
