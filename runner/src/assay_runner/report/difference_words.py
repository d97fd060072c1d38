"""What `assay diff` says, in words: one story for terminal, page and JSON."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator
from typing import Any, Final

from assay_api.report import Report, Verdict
from assay_runner.report.differences import Differences, Judged, Measured
from assay_runner.report.figures import figure, metric_of, moment, plain
from assay_runner.report.wording import overall, shortened

HEADS_OF_INPUTS: Final = ("what differs", "old", "new")
HEADS_OF_VERDICTS: Final = ("candidate", "check", "old", "new", "")
HEADS_OF_FIGURES: Final = ("candidate", "of", "figure", "old", "new", "noise", "")
Rows = tuple[tuple[str, ...], tuple[tuple[str, ...], ...]]
"""Heads of columns, and rows under them."""
_DIGEST: Final = 64
_SHOWN: Final = 12
_LONGEST: Final = 80
_NONE: Final = "-"


def sides(old: Report, new: Report) -> Iterator[str]:
    """Both reports, a line each."""
    for mark, report in (("old", old), ("new", new)):
        content = f", content {report.content}" if report.content else ""
        yield f"{mark}: {report.audit}, run {report.run}{content}, {moment(report.created)}: {overall(report)}"


def input_rows(found: Differences) -> Iterator[tuple[str, ...]]:
    """What differs of what was judged and of what judged it."""
    for name, pair in found.inputs.items():
        yield (name, *(_short(value) or _NONE for value in pair))


def _short(value: str) -> str:
    whole = len(value) == _DIGEST and not set(value) - set("0123456789abcdef")
    return value[:_SHOWN] if whole else shortened(value, _LONGEST)


def verdict_rows(found: Differences, *, everything: bool = False) -> Iterator[tuple[str, ...]]:
    """Verdicts that changed, or all; of a candidate that came or went as a whole its own, and what failed."""
    whole = _whole(found)
    for each in found.verdicts:
        shown = each.change != "same" and (not each.check or each.candidate not in whole or each.new is Verdict.FAILED)
        if everything or shown:
            pair = (str(verdict) if verdict else _NONE for verdict in (each.old, each.new))
            yield (each.candidate, each.check or "all checks", *pair, "" if each.change == "same" else each.change)


def _whole(found: Differences) -> set[str]:
    """Candidates that only one of the reports has."""
    return {each.candidate for each in found.verdicts if not each.check and None in (each.old, each.new)}


def figure_rows(found: Differences, *, everything: bool = False) -> Iterator[tuple[str, ...]]:
    """Figures that moved beyond their noise, or all."""
    for each in found.figures:
        if everything or each.change != "same":
            pair = (figure(each.metric, value) for value in (each.old, each.new))
            change = "" if each.change == "same" else each.change
            yield (each.candidate, each.what, metric_of(each.metric).label, *pair, _noise(each), change)


def tables_of(found: Differences, *, everything: bool = False) -> dict[str, Rows]:
    """Heads and rows of all three tables, in the order that they are read."""
    return {
        "inputs": (HEADS_OF_INPUTS, tuple(input_rows(found))),
        "verdicts": (HEADS_OF_VERDICTS, tuple(verdict_rows(found, everything=everything))),
        "figures": (HEADS_OF_FIGURES, tuple(figure_rows(found, everything=everything))),
    }


def _noise(each: Measured) -> str:
    if each.noise is None:
        return "not told"
    if math.isinf(each.noise):
        return "beyond golden's own"
    unit = metric_of(each.metric).unit
    if unit == "share":
        return f"± {plain(each.noise * 100, 3)} %"
    return f"± {plain(each.noise, 3)}{' dB' if unit == 'dB' else ''}"


def conclusion(found: Differences) -> Iterator[str]:
    """What to make of it, a sentence each."""
    failed = [each for each in found.verdicts if each.check and each.new is Verdict.FAILED and each.change == "worse"]
    whole = _whole(found)
    lost = [each for each in found.verdicts if each.change == "worse" and each.new is not Verdict.FAILED]
    first = [each for each in found.verdicts if each.change == "new"]
    mended = [each for each in found.verdicts if each.check and each.change == "better"]
    if failed:
        named = ", ".join(f"{each.candidate}: {each.check}" for each in failed)
        yield f"Worse: {_several(len(failed), 'check')} failed that did not before ({named})."
    if lost:
        yield f"No longer judged: {', '.join(_named(lost, whole))}."
    if mended:
        yield f"Better: {_several(len(mended), 'verdict')}."
    if first:
        yield f"New: {', '.join(_named(first, whole))}."
    if found.apart:
        yield f"{found.apart[0].upper()}{found.apart[1:]}."
    else:
        by = {change: sum(each.change == change for each in found.figures) for change in ("worse", "better")}
        yield (
            f"Of {_several(len(found.figures), 'figure')} {by['worse']} got worse and {by['better']} better, beyond "
            "their noise."
        )
    if not (failed or lost or mended):
        yield "No verdict changed."


def _named(judged: Iterable[Judged], whole: Collection[str]) -> list[str]:
    """What was judged, each once: candidates that came or went as a whole, and checks of the others."""
    told = (
        each.candidate if each.candidate in whole or not each.check else f"{each.candidate}: {each.check}"
        for each in judged
    )
    return list(dict.fromkeys(told))


def _several(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def wire(found: Differences) -> dict[str, Any]:
    """The differences as JSON values; figures that are not finite are strings, as in report.json."""
    return {
        "inputs": {name: {"old": old, "new": new} for name, (old, new) in found.inputs.items()},
        "verdicts": [
            {"candidate": each.candidate, "check": each.check or None, "old": each.old, "new": each.new}
            | {"change": each.change}
            for each in found.verdicts
        ],
        "figures": [
            {"candidate": each.candidate, "of": each.what, "metric": each.metric, "change": each.change}
            | {"old": _number(each.old), "new": _number(each.new), "noise": _number(each.noise)}
            for each in found.figures
        ],
        "notCompared": found.apart or None,
        "worse": found.worse(figures=False),
        "worseFigures": found.worse(figures=True),
        "lost": found.lost,
    }


def _number(value: float | None) -> float | str | None:
    if value is None or math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else ("Infinity" if value > 0 else "-Infinity")
