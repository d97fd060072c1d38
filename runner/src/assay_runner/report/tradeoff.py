"""Accuracy against latency, one mark per candidate: what a faster candidate costs.

Latencies of an emulation say nothing about an engine, so there is no plot of them, and a sentence in its place.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from assay_api.report import CandidateReport, Report
from assay_runner.report.drawing import percent_of, scale
from assay_runner.report.figures import figure, milliseconds, percent
from assay_runner.report.labels import SCREENS, Label, Screen, labels
from assay_runner.report.markup import Child, Html, el, icon, tone
from assay_runner.report.wording import SEVERITY, candidate_verdict

_SHAPE = {"x": -10, "y": -10, "width": 20, "height": 20}
NAMED = 16
"""Marks that carry their names; among more, names would cover each other."""
_FAR = 0.4
"""Latencies begin at zero unless the lowest is this share of the highest: then the plot shows where they lie."""
_ACCURACY = {True: "top-1 accuracy, %", False: "worst SNR of the outputs, dB"}


@dataclass(frozen=True)
class Mark:
    """A candidate's place: x and y from 0 to 1, y upwards."""

    index: int
    candidate: CandidateReport
    x: float
    y: float


def worst_snr(candidate: CandidateReport) -> float | None:
    """The worst SNR of any output and sample, dB; Inf where all are bitwise equal, -Inf where one is not finite."""
    worst = [output.metrics["snr"].worst for output in candidate.outputs if "snr" in output.metrics]
    return min((-math.inf if math.isnan(value) else value for value in worst), default=None)


def tradeoff(report: Report) -> Html | None:
    """The plot with its caption, or the sentence that says why there is none; None for a single candidate."""
    if len(report.candidates) < 2:
        return None
    timed = [c for c in report.candidates if c.latency and not c.emulated]
    labelled = all("top1" in c.accuracy for c in timed)
    values = {c.name: c.accuracy["top1"] if labelled else worst_snr(c) for c in timed}
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
    near = min(times.values()) > _FAR * max(times.values())
    # Hardly different times must not fill the plot.
    left, right, stops = scale([0.9 * min(times.values()) if near else 0.0, *times.values()], fine=True)
    unit = 100 if labelled else 1
    places = {
        name: (
            (times[name] - left) / (right - left),
            min(max((value * unit - low) / (high - low), 0.0), 1.0) if not math.isinf(value) else float(value > 0),
        )
        for name, value in values.items()
    }
    marks = [Mark(i, c, *places[c.name]) for i, c in enumerate(report.candidates) if c.name in places]
    names = [_names(marks, screen) for screen in SCREENS] if len(marks) <= NAMED else []
    # What failed is painted last: no mark that passed may lie over it.
    painted = sorted(enumerate(marks), key=lambda item: -SEVERITY[candidate_verdict(report, item[1].candidate)])
    inside: list[Child] = [
        _grid(low, high, ticks, "y"),
        _grid(left, right, stops, "x"),
        [_leader(label, screen) for each, screen in zip(names, SCREENS, strict=False) for label in each],
        [_mark(report, m, values, labelled, [each[i] for each in names]) for i, m in painted],
    ]
    heights = [el("text", {"x": "100%", "y": percent_of(1 - (t - low) / (high - low))}, f"{t:g}") for t in ticks]
    return el(
        "figure",
        {"class": "chart tradeoff"},
        el("figcaption", None, el("h3", None, "Accuracy against latency"), _caption(report, shown, labelled)),
        el(
            "div",
            {"class": "plot snr"},
            el("p", {"class": "unit"}, f"{_ACCURACY[labelled]}; higher is better"),
            el("svg", {"class": "labels", "aria-hidden": "true"}, heights),
            el(
                "div",
                {"class": "area"},
                el("svg", {"class": "marks", "role": "list", "aria-label": "Candidates"}, inside),
            ),
        ),
        _axis(left, right, stops),
        el(
            "p",
            {"class": "unit centred"},
            f"latency{' of one sample' if each else ''}, ms; further left is faster{', not from 0' if left else ''}",
        ),
    )


def _names(marks: Sequence[Mark], screen: Screen) -> list[Label]:
    return labels([m.candidate.name for m in marks], [(m.x, m.y) for m in marks], screen)


def _leader(label: Label, screen: Screen) -> Html | None:
    """A line from the mark to a name that does not stand beside it."""
    x, y = label.mark
    if abs(label.y - y) < 0.02:
        return None
    end = label.x + (0.15 if label.leftwards else -0.15) * screen.gap
    ends = {"x1": percent_of(x), "y1": percent_of(1 - y), "x2": percent_of(end), "y2": percent_of(1 - label.y)}
    return el("line", {**ends, "class": f"leader {screen.name}", "aria-hidden": "true"})


def _mark(report: Report, mark: Mark, values: dict[str, float], labelled: bool, names: Sequence[Label]) -> Html:
    candidate = mark.candidate
    verdict = candidate_verdict(report, candidate)
    value = values[candidate.name]
    accuracy = percent(value) if labelled else figure("snr", value)
    told = f"{candidate.name}: {verdict}, {accuracy}, {milliseconds(_time(candidate))}"
    shape = el("svg", {"x": percent_of(mark.x), "y": percent_of(1 - mark.y), "class": "place"}, icon(verdict, _SHAPE))
    chosen = report.recommendation is not None and candidate.name == report.recommendation.candidate
    ring = el("circle", {"class": "ring", "cx": percent_of(mark.x), "cy": percent_of(1 - mark.y), "r": 14})
    link = {"href": f"#candidate-{mark.index}", "aria-label": told}
    texts = [_text(label, screen) for label, screen in zip(names, SCREENS, strict=False)]
    inside = el("a", link, el("title", None, told), ring if chosen else None, shape, texts)
    return el("g", {"role": "listitem", "class": tone(verdict)}, inside)


def _text(label: Label, screen: Screen) -> Html:
    place = {"x": percent_of(label.x), "y": percent_of(1 - label.y), "text-anchor": "end" if label.leftwards else None}
    return el("text", {**place, "dy": 4, "class": screen.name}, label.text)


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
    golden = next((c.accuracy["goldenTop1"] for c in shown if "goldenTop1" in c.accuracy), None)
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
