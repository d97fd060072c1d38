"""The worst tensors, value by value: how many elements have which magnitude, golden's against the candidate's.

Counts are drawn on a logarithmic axis, for the few elements that overflow are what matters among millions that do not.
Golden is a filled shape and the candidate an outline, so that they are told apart without colour.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from assay_api.report import CandidateReport, HistogramEntry
from assay_runner.report.drawing import HEIGHT, WIDTH, drawing, percent_of
from assay_runner.report.figures import count as written
from assay_runner.report.figures import plain
from assay_runner.report.formats import Format, format_of
from assay_runner.report.markup import Child, Html, code, el
from assay_runner.report.zones import Magnitudes, magnitudes, zoned

SHOWN = 12
"""Histograms on the page; more are in report.json."""
_POWERS = (-1074, 1024)
"""Powers of two that a float can have."""

Counts = Sequence[int]


def histograms(candidate: CandidateReport, level: int) -> list[Html]:
    """A figure per tensor, as the report orders them; what is no histogram is left out.

    Args:
        candidate: the candidate.
        level: level of the headings.
    """
    format_ = format_of(candidate)
    drawn = [_figure(entry, format_, level) for entry in candidate.histograms[:SHOWN]]
    kept = [figure for figure in drawn if figure is not None]
    if kept and len(candidate.histograms) > SHOWN:
        more = f"{len(candidate.histograms) - SHOWN} more histograms are in report.json."
        return [*kept, el("p", {"class": "quiet"}, more)]
    return kept


def _figure(entry: HistogramEntry, format_: Format | None, level: int) -> Html | None:
    low, bins = entry.low, max(len(entry.golden), len(entry.candidate))
    if not _POWERS[0] <= low <= low + bins <= _POWERS[1] or not bins:
        return None
    golden, candidate = _padded(entry.golden, bins), _padded(entry.candidate, bins)
    used = [i for i in range(bins) if golden[i] or candidate[i]]
    edges = [2.0 ** (low + i) for first in used[:1] for i in (first, used[-1] + 1)]
    axis = magnitudes(edges, format_) or Magnitudes(low, low + bins)
    made = " · ".join(filter(None, (entry.op, entry.node)))
    top = max(*golden, *candidate, 1)
    shapes = [
        el("path", {"class": "golden", "d": _steps(golden, used, low, axis, top)}),
        el("path", {"class": "candidate-line", "d": _steps(candidate, used, low, axis, top)}),
    ]
    return el(
        "figure",
        {"class": "chart histogram"},
        el(
            "figcaption",
            None,
            el(f"h{level}", None, code(entry.tensor), el("small", None, made) if made else None),
            el("p", None, _said(entry, format_, golden, candidate, low)),
            el(
                "ul",
                {"class": "keys"},
                el("li", {"class": "golden"}, "golden"),
                el("li", {"class": "cand"}, "candidate"),
            ),
        ),
        el("p", {"class": "unit"}, f"elements, logarithmic up to {plain(top)}"),
        el("div", {"class": "area"}, zoned(drawing(shapes), format_, axis, upright=False)),
        _axis(axis),
        _table(golden, candidate, low, entry.tensor),
    )


def _padded(counts: Counts, bins: int) -> list[int]:
    return [*(max(count, 0) for count in counts), *[0] * (bins - len(counts))]


def _steps(counts: Counts, used: Sequence[int], low: int, axis: Magnitudes, top: int) -> str:
    """The outline of the bars from the first used one to the last, closed at the bottom."""
    path: list[str] = []
    span, up = axis.high - axis.low, math.log1p(top)
    for index in range(used[0], used[-1] + 1) if used else ():
        count = counts[index]
        x = (low + index - axis.low) / span * WIDTH
        y = HEIGHT * (1 - 0.92 * math.log1p(count) / up)
        path.append(f"{'L' if path else f'M{x:.1f} {HEIGHT:.0f}L'}{x:.1f} {y:.1f}H{x + WIDTH / span:.1f}")
    return f"{''.join(path)}V{HEIGHT:.0f}" if any(counts) else ""


def _axis(axis: Magnitudes) -> Html:
    texts = []
    for text, at in axis.ticks():
        anchor = "start" if at < 0.04 else "end" if at > 0.96 else "middle"
        texts.append(el("text", {"x": percent_of(at), "y": "1.1em", "text-anchor": anchor}, text))
    return el("svg", {"class": "magnitudes", "aria-hidden": "true"}, texts)


def _said(entry: HistogramEntry, format_: Format | None, golden: Counts, candidate: Counts, low: int) -> Child:
    """What the drawing shows, in words."""
    sentence = "; ".join(filter(None, (_reach("Golden", golden, low), _reach("the candidate", candidate, low))))
    parts = [f"{sentence}." if sentence else "Neither holds a value other than zero."]
    parts.append(f"Zeros: golden {written(entry.golden_zeros)}, candidate {written(entry.candidate_zeros)}.")
    if entry.non_finite:
        parts.append(f"NaN or Inf in the candidate: {written(entry.non_finite)}.")
    if format_ is not None:
        beyond = sum(c for i, c in enumerate(golden) if 2.0 ** (low + i) > format_.largest)
        below = sum(c for i, c in enumerate(golden) if 2.0 ** (low + i + 1) <= format_.subnormal)
        outside = ((beyond, f"beyond {format_.name}'s largest value"), (below, f"below {format_.name}'s smallest"))
        parts += [f"{written(total)} of golden's elements lie {what}." for total, what in outside if total]
    return " ".join(part for part in parts if part)


def _reach(who: str, counts: Counts, low: int) -> str:
    used = [i for i, count in enumerate(counts) if count]
    if not used:
        return ""
    return f"{who} reaches from {plain(2.0 ** (low + used[0]), 2)} to {plain(2.0 ** (low + used[-1] + 1), 2)}"


def _table(golden: Counts, candidate: Counts, low: int, name: str) -> Html:
    """The counts themselves, for those who cannot see the drawing."""
    heads = ["Magnitude from", "Golden", "Candidate", "Difference"]
    rows = [
        [plain(2.0 ** (low + i), 3), written(a), written(b), f"{b - a:+,.0f}"]
        for i, (a, b) in enumerate(zip(golden, candidate, strict=True))
        if a or b
    ]
    body = [
        el("tr", None, el("th", {"scope": "row", "class": "n"}, first), [el("td", {"class": "n"}, c) for c in cells])
        for first, *cells in rows
    ]
    columns = [el("th", {"scope": "col", "class": "n"}, head) for head in heads]
    caption = el("caption", {"class": "unseen"}, "Elements of ", code(name), " by magnitude")
    table = el(
        "table", {"class": "narrow"}, caption, el("thead", None, el("tr", None, columns)), el("tbody", None, body)
    )
    return el("details", None, el("summary", None, "Counts as a table"), table)
