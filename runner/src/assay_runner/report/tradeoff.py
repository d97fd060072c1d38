"""Accuracy against latency, one mark per candidate: what a faster candidate costs.

Latencies of an emulation say nothing about an engine, so there is no plot of them, and a sentence in its place.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from assay_api.report import CandidateReport, Report
from assay_runner.report.drawing import percent_of, scale
from assay_runner.report.figures import figure, milliseconds, number, percent
from assay_runner.report.markup import Child, Html, el, icon, tone
from assay_runner.report.wording import candidate_verdict, shortened

_SHAPE = {"x": -10, "y": -10, "width": 20, "height": 20}
NAMED = 16
"""Marks that carry their names; among more, names would cover each other."""
_NAME = 22
_ROOM = 0.055
"""Least distance of two names, of the plot's height."""
_LETTER, _GAP = 0.035, 0.07
"""Width of a letter, and of the room before a name, on a narrow screen: of the plot's width."""
_LEFTWARDS = 0.65
"""Place from which on a name stands left of its mark."""
_ACCURACY = {True: "top-1 accuracy, %", False: "worst SNR of the outputs, dB"}


@dataclass(frozen=True)
class Mark:
    """A candidate's place: x and y from 0 to 1, y upwards, and where its name stands."""

    index: int
    candidate: CandidateReport
    x: float
    y: float
    name_y: float


def worst_snr(candidate: CandidateReport) -> float | None:
    """The worst SNR of any output and sample, dB; Inf where all are bitwise equal, -Inf where one is not finite."""
    found = []
    for entry in candidate.outputs:
        metrics = entry.get("metrics")
        row = metrics.get("snr") if isinstance(metrics, dict) else None
        value = number(row.get("worst")) if isinstance(row, dict) else None
        if value is not None:
            found.append(-math.inf if math.isnan(value) else value)
    return min(found, default=None)


def tradeoff(report: Report) -> Html | None:
    """The plot with its caption, or the sentence that says why there is none; None for a single candidate."""
    if len(report.candidates) < 2:
        return None
    timed = [c for c in report.candidates if c.latency and not c.emulated and number(c.latency.median_ms) is not None]
    labelled = all("top1" in c.accuracy for c in timed)
    values = {c.name: number(c.accuracy["top1"]) if labelled else worst_snr(c) for c in timed}
    shown = [c for c in timed if (v := values[c.name]) is not None and not math.isnan(v) and math.isfinite(_time(c))]
    if len(shown) < 2:
        why = "The latencies were emulated" if report.emulated else "Too few candidates have a latency and an accuracy"
        text = f"{why}, so there is no plot of accuracy against latency: measure on the target GPU."
        return el("p", {"class": "quiet"}, text)
    return _figure(report, shown, {c.name: values[c.name] or 0.0 for c in shown}, labelled)


def _time(candidate: CandidateReport) -> float:
    return candidate.latency.median_ms if candidate.latency else math.inf


def _per_sample(shown: list[CandidateReport]) -> bool:
    return len({c.latency.batch for c in shown if c.latency}) > 1


def _figure(report: Report, shown: list[CandidateReport], values: dict[str, float], labelled: bool) -> Html:
    each = _per_sample(shown)
    times = {c.name: _time(c) / (max(c.latency.batch, 1) if each and c.latency else 1) for c in shown}
    finite = [v for v in values.values() if math.isfinite(v)]
    scaled = [v * 100 for v in finite] if labelled else finite
    low, high, ticks = scale(scaled or [0.0], fine=labelled)
    left, right, stops = scale([0.0, *times.values()], fine=True)
    unit = 100 if labelled else 1
    places = {
        name: (
            (times[name] - left) / (right - left),
            min(max((value * unit - low) / (high - low), 0.0), 1.0) if not math.isinf(value) else float(value > 0),
        )
        for name, value in values.items()
    }
    marks = _marks(report, [c for c in report.candidates if c.name in places], places)
    inside = [
        _grid(low, high, ticks, "y"),
        _grid(left, right, stops, "x"),
        [_mark(report, m, values, labelled) for m in marks],
    ]
    labels = [el("text", {"x": "100%", "y": percent_of(1 - (t - low) / (high - low))}, f"{t:g}") for t in ticks]
    return el(
        "figure",
        {"class": "chart tradeoff"},
        el("figcaption", None, el("h3", None, "Accuracy against latency"), _caption(report, shown, labelled)),
        el(
            "div",
            {"class": "plot snr"},
            el("p", {"class": "unit"}, f"{_ACCURACY[labelled]}; higher is better"),
            el("svg", {"class": "labels", "aria-hidden": "true"}, labels),
            el(
                "div",
                {"class": "area"},
                el("svg", {"class": "marks", "role": "list", "aria-label": "Candidates"}, inside),
            ),
        ),
        _axis(left, right, stops),
        el("p", {"class": "unit centred"}, f"latency{' of one sample' if each else ''}, ms; further left is faster"),
    )


def _marks(report: Report, shown: list[CandidateReport], places: dict[str, tuple[float, float]]) -> list[Mark]:
    """Each candidate's place; names that would cover each other are moved apart."""
    index = {c.name: i for i, c in enumerate(report.candidates)}
    marks: list[Mark] = []
    for candidate in sorted(shown, key=lambda c: -places[c.name][1]):
        x, y = places[candidate.name]
        taken = [m.name_y for m in marks if _meet(_span(x, candidate.name), _span(m.x, m.candidate.name))]
        marks.append(Mark(index[candidate.name], candidate, x, y, _free(y, taken)))
    return marks


def _span(x: float, name: str) -> tuple[float, float]:
    """What a name covers across, at most."""
    reach = _GAP + _LETTER * min(len(name), _NAME)
    return (x - reach, x) if x > _LEFTWARDS else (x, x + reach)


def _meet(a: tuple[float, float], b: tuple[float, float]) -> bool:
    return a[0] < b[1] and b[0] < a[1]


def _free(y: float, taken: Sequence[float]) -> float:
    """The height nearest to `y` at which a name covers none of those nearby; `y` itself where there is none."""
    heights = (y + step * _ROOM for step in sorted(range(-2 * NAMED, 2 * NAMED + 1), key=abs))
    free = (h for h in heights if 0 <= h <= 1 and all(abs(h - other) > 0.99 * _ROOM for other in taken))
    return next(free, y)


def _mark(report: Report, mark: Mark, values: dict[str, float], labelled: bool) -> Html:
    candidate = mark.candidate
    verdict = candidate_verdict(report, candidate)
    value = values[candidate.name]
    accuracy = percent(value) if labelled else figure("snr", value)
    told = f"{candidate.name}: {verdict}, {accuracy}, {milliseconds(_time(candidate))}"
    leftwards = mark.x > _LEFTWARDS
    name = el(
        "text",
        {
            "x": percent_of(mark.x),
            "y": percent_of(1 - mark.name_y),
            "dx": -18 if leftwards else 18,
            "dy": 4,
            "text-anchor": "end" if leftwards else None,
        },
        shortened(candidate.name, _NAME),
    )
    shape = el("svg", {"x": percent_of(mark.x), "y": percent_of(1 - mark.y), "class": "place"}, icon(verdict, _SHAPE))
    named = name if len(values) <= NAMED else None
    chosen = report.recommendation is not None and candidate.name == report.recommendation.candidate
    ring = el("circle", {"class": "ring", "cx": percent_of(mark.x), "cy": percent_of(1 - mark.y), "r": 14})
    link = {"href": f"#candidate-{mark.index}", "aria-label": told}
    inside = el("a", link, el("title", None, told), ring if chosen else None, shape, named)
    return el("g", {"role": "listitem", "class": tone(verdict)}, inside)


def _grid(low: float, high: float, ticks: list[float], along: str) -> list[Html]:
    lines = []
    for tick in ticks:
        at = (tick - low) / (high - low)
        y = percent_of(1 - at)
        x = percent_of(at)
        ends = (
            {"x1": "0", "x2": "100%", "y1": y, "y2": y} if along == "y" else {"y1": "0", "y2": "100%", "x1": x, "x2": x}
        )
        lines.append(el("line", {**ends, "aria-hidden": "true"}))
    return lines


def _axis(low: float, high: float, ticks: list[float]) -> Html:
    texts = []
    for tick in ticks:
        at = (tick - low) / (high - low)
        anchor = "start" if at < 0.02 else "end" if at > 0.98 else "middle"
        texts.append(el("text", {"x": percent_of(at), "y": "1.1em", "text-anchor": anchor}, f"{tick:g}"))
    return el("svg", {"class": "magnitudes indented", "aria-hidden": "true"}, texts)


def _caption(report: Report, shown: list[CandidateReport], labelled: bool) -> list[Child]:
    """The fastest and the most accurate, and who is not in the plot."""
    fastest = min(shown, key=_time)
    best = max(shown, key=lambda c: c.accuracy["top1"] if labelled else worst_snr(c) or -math.inf)
    said = [f"Fastest: {fastest.name}, {milliseconds(_time(fastest))}. "]
    accuracy = percent(best.accuracy["top1"]) if labelled else figure("snr", worst_snr(best))
    said.append(f"Most accurate: {best.name}, {accuracy}. ")
    golden = next((g for c in shown if (g := number(c.accuracy.get("goldenTop1"))) is not None), None)
    if labelled and golden is not None:
        said.append(f"Golden has {percent(golden)}. ")
    absent = [c.name for c in report.candidates if c not in shown]
    if absent:
        said.append(f"Not in the plot, for want of a latency or an accuracy: {', '.join(absent)}. ")
    keys = el(
        "p",
        {"class": "quiet"},
        "A circle passed, an octagon failed, a diamond is inconclusive; a ring marks what to ship.",
    )
    return [el("p", None, said), keys]
