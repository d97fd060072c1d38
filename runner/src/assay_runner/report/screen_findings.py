"""What a screening found of each GPU: those that differ or hang with all that is known of them, the rest as tables."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from assay_api.screening import Difference, PhaseCount
from assay_runner.report.markup import Html, badge, code, el, facts, row, table
from assay_runner.report.screen_map import MOST_OPEN, many, mark
from assay_runner.report.screen_next import Line, steps_for
from assay_runner.report.screen_shown import DeviceShown, OtherAnswer, by_message, class_words

MOST_LISTED: Final = 200
"""Devices of one kind that are listed, or sentences that are said of any; all devices are in the map."""
MOST_SPELT_OUT: Final = 8
"""Devices up to which what to do about each stands unfolded."""
MOST_NAMED: Final = 24
"""Devices that are named of those of which the same is said."""
_OTHERS: Final = ("Input", "Its commonest answer", "What counts as right")
_PARTS: Final = ("Input", "Output", "Answer", "Runs", "Elements", "First", "Bits", "Period", "Largest difference")
_RUNS: Final = (
    "Node", "GPU", "Outcome", "Cold", "Heating", "Warm", "Runs per second", "Excluded rate (3 / n)",
    "Time of a run", "Clock",
)  # fmt: skip


def found_cards(devices: Sequence[DeviceShown]) -> Iterator[Html]:
    """Each device that differs, hangs or died."""
    if not devices:
        yield el("p", {"class": "quiet"}, "None.")
        return
    few = len(devices) <= MOST_SPELT_OUT
    yield el("ol", {"class": "findings"}, [_card(each, spelt_out=few) for each in devices[:MOST_LISTED]])
    yield from _more(len(devices))


def reasons(devices: Sequence[DeviceShown], title: str) -> Iterator[Html]:
    """Devices by what is said of them."""
    groups = by_message(devices)
    rows = [row([message, f"{len(found):,}", _names(found)]) for message, found in groups[:MOST_LISTED]]
    yield table(title, ("What is said", "How many", "Of which"), rows, "narrow")
    yield from _more(len(devices), sum(len(found) for _, found in groups[:MOST_LISTED]))


def runs_table(devices: Sequence[DeviceShown]) -> Iterator[Html]:
    """What was run on each device that was scanned, by phase, and how fast."""
    if not devices:
        yield el("p", {"class": "quiet"}, "Nothing was scanned.")
        return
    listed = devices[:MOST_LISTED]
    yield el(
        "details",
        {"open": len(listed) <= MOST_OPEN},
        el("summary", None, f"{len(listed):,} of {many(len(devices), 'GPU')} that were scanned"),
        table("Runs and times", _RUNS, map(_runs, listed)),
    )
    yield from _more(len(devices))


def steps(lines: Iterator[Line]) -> Html | None:
    """What to do, in order."""
    found = list(lines)
    return el("ul", None, (el("li", None, *line) for line in found)) if found else None


def _card(shown: DeviceShown, *, spelt_out: bool) -> Html:
    entry = shown.entry
    where = [el("b", None, shown.host), None if shown.whole_node else code(entry.device)]
    return el(
        "li",
        {"class": f"finding {entry.verdict.lower()}", "id": shown.anchor},
        el("p", {"class": "where"}, badge(entry.verdict), el("span", {"aria-hidden": "true"}, mark(shown)), where),
        el("p", {"class": "sentence"}, entry.message),
        facts(
            [
                ("Class", None if shown.whole_node else class_words(entry.kind)),
                ("Runs that deviate", _deviating(shown)),
                ("Runs that ended", f"{entry.runs:,}" if shown.outcome == "hung" and entry.runs else None),
                ("Second scan", _confirmed(shown)),
                *((f"In the {phase.name} phase", _phase(phase)) for phase in entry.phases if phase.deviations),
            ]
        ),
        _others(shown.others),
        _differences(shown),
        el("details", {"open": spelt_out}, el("summary", None, "What to do"), steps(steps_for(shown))),
    )


def _deviating(shown: DeviceShown) -> str | None:
    entry = shown.entry
    if shown.outcome != "differs":
        return None
    if entry.deviations:
        return f"{entry.deviations:,} of {entry.runs:,}, {entry.deviations / max(entry.runs, 1):.1e} of them"
    return f"the commonest answer, in {many(entry.runs, 'run')}" if shown.others else None


def _confirmed(shown: DeviceShown) -> str:
    if shown.entry.confirmed is None:
        return "none was needed"
    return "the same again" if shown.entry.confirmed else "not, or not yet, the same again"


def _phase(phase: PhaseCount) -> str:
    return f"{phase.deviations:,} of {phase.runs:,}"


def _others(others: Sequence[OtherAnswer]) -> Html | None:
    if not others:
        return None
    rows = [row([str(each.input), code(each.digest), code(each.right)]) for each in others]
    return table("Answers that differ", _OTHERS, rows, "narrow")


def _differences(shown: DeviceShown) -> Html | None:
    if shown.outcome != "differs":
        return None
    if not shown.entry.differences:
        words = (
            "In which elements is not known: whole answers are held together within a machine alone, and none that "
            "counts as right was kept beside this one."
        )
        return el("p", {"class": "quiet"}, words)
    return table("Where the answers differ", _PARTS, map(_difference, shown.entry.differences))


def _difference(each: Difference) -> Html:
    return row(
        [
            str(each.input),
            code(each.tensor),
            code(each.digest or None),
            f"{each.runs:,}" if each.runs else "",
            f"{each.elements:,} of {each.of:,}",
            ", ".join(map(str, each.first)),
            ", ".join(map(str, each.bits)),
            str(each.period or ""),
            f"{each.max_abs:.3g}" if each.max_abs is not None else "",
        ]
    )


def _runs(shown: DeviceShown) -> Html:
    entry = shown.entry
    phases = {each.name: each for each in entry.phases}
    warm = phases.get("warm")
    return row(
        [
            shown.host,
            code(entry.device),
            mark(shown),
            *(_taken(phases.get(name)) for name in ("cold", "heating", "warm")),
            f"{warm.runs / warm.seconds:,.0f}" if warm and warm.seconds else "",
            f"{entry.excludes:.1e}" if entry.excludes is not None else "",
            f"{entry.milliseconds:.3g} ms" if entry.milliseconds is not None else "",
            f"{entry.clock_mhz:,} MHz" if entry.clock_mhz is not None else "",
        ]
    )


def _taken(phase: PhaseCount | None) -> str:
    if phase is None:
        return ""
    return f"{phase.runs:,} in {phase.seconds:.3g} s" if phase.seconds else f"{phase.runs:,}"


def _names(found: Sequence[DeviceShown]) -> Line:
    """The first of them, by node; a node as a whole by its name alone."""
    told: Line = []
    for each in found[:MOST_NAMED]:
        told += [", " if told else "", each.host, *([] if each.whole_node else [" ", code(each.entry.device) or ""])]
    more = len(found) - MOST_NAMED
    return [*told, f" and {more:,} more"] if more > 0 else told


def _more(count: int, listed: int = MOST_LISTED) -> Iterator[Html]:
    if count > listed:
        yield el("p", {"class": "quiet"}, f"{count - listed:,} more are in the map, and in the report.")
