"""Error along the depth, all candidates over each other: where they part is where a precision begins to cost."""

from __future__ import annotations

import math
from collections.abc import Sequence

from assay_api.model import wire_name
from assay_api.report import CandidateReport, Report, TensorEntry, Verdict
from assay_runner.report.chart import decibel_axis
from assay_runner.report.drawing import Values, buckets, drawing, grid, line, plot
from assay_runner.report.markup import Html, el
from assay_runner.report.wording import candidate_verdict, shortened

COLUMNS = 400
STYLES = 8
"""Kinds of line, each of its own colour and dashes; a ninth candidate begins anew."""
_CHOSEN = 6
"""Candidates whose lines are shown before anybody chooses."""
_MOST = 32


def compared(report: Report) -> Html | None:
    """The figure; None where fewer than two candidates were looked into.

    Scripts add boxes to choose candidates by, the choice between accumulated and local error, and values under the
    pointer.
    """
    looked = [(i, c) for i, c in enumerate(report.candidates) if _finite(c)]
    if len(looked) < 2:
        return None
    first, rest = looked[:_MOST], len(looked) - _MOST
    both = {_ACCUMULATED: {i: _accumulated(c) for i, c in first}, _LOCAL: {i: _local(c) for i, c in first}}
    every = [v for lines in both.values() for values in lines.values() for v in values if v is not None]
    low, high, ticks, labels = decibel_axis([v for v in every if math.isfinite(v)], exact=math.inf in every)
    chosen = _chosen(report, [i for i, _ in first])
    groups = [_group(key, lines, chosen, low, high, hidden=key == _LOCAL) for key, lines in both.items() if _any(lines)]
    keys = [
        el(
            "li",
            {"class": f"line-{order % STYLES}", "data-line": index, "hidden": index not in chosen},
            _sample(),
            c.name if c.layers_served else f"{c.name} (not as served)",
        )
        for order, (index, c) in enumerate(first)
    ]
    more = f" {rest} more candidates are each in their own section." if rest > 0 else ""
    said = (
        "Accumulated signal-to-noise ratio of every tensor, from the input on the left to the output on the right; "
        f"higher is better, and the median of neighbouring tensors is drawn. {_words(report, chosen)}{more}"
    )
    return el(
        "figure",
        {"class": "chart compared", "id": "compared"},
        el("figcaption", None, el("h3", None, "Error along the depth"), el("p", None, said)),
        el("ul", {"class": "line-keys", "aria-label": "Lines"}, keys),
        plot("SNR, dB", labels, drawing([grid(ticks, low, high), groups]), "snr"),
        el("p", {"class": "axis"}, [el("span", None, t) for t in ("input", "depth of the network", "output")]),
    )


_ACCUMULATED, _LOCAL = (wire_name(TensorEntry, field) for field in ("accumulated_snr", "local_snr"))
"""The two errors, as the scripts know them."""


def _accumulated(candidate: CandidateReport) -> list[float | None]:
    return [layer.accumulated_snr for layer in candidate.layers]


def _local(candidate: CandidateReport) -> list[float | None]:
    return [layer.local_snr for layer in candidate.layers]


def _finite(candidate: CandidateReport) -> bool:
    return any(v is not None and not math.isnan(v) for v in _accumulated(candidate))


def _any(lines: dict[int, list[float | None]]) -> bool:
    return any(v is not None for values in lines.values() for v in values)


def _chosen(report: Report, indices: Sequence[int]) -> list[int]:
    """What to ship, what failed, then the rest in order."""
    shipped = report.recommendation.candidate if report.recommendation else None

    def rank(index: int) -> tuple[bool, bool, int]:
        candidate = report.candidates[index]
        failed = candidate_verdict(report, candidate) is Verdict.FAILED
        return (candidate.name != shipped, not failed, index)

    return sorted(sorted(indices, key=rank)[:_CHOSEN])


def _group(
    key: str, lines: dict[int, list[float | None]], chosen: Sequence[int], low: float, high: float, *, hidden: bool
) -> Html:
    paths = [
        el(
            "path",
            {
                "class": f"line-{order % STYLES}",
                "data-line": index,
                "hidden": index not in chosen,
                "d": line(_fallen(values, low), low, high, COLUMNS, choose="median"),
            },
        )
        for order, (index, values) in enumerate(lines.items())
    ]
    return el("g", {"data-metric": key, "hidden": hidden}, paths)


def _fallen(values: Values, low: float) -> Values:
    """The values, the first one that is NaN or -Inf at the lower end: the line falls there, and ends.

    So are those before it that share a column of the drawing with it, or their median would stand in its place.
    """
    first = next((i for i, v in enumerate(values) if v is not None and (math.isnan(v) or v == -math.inf)), None)
    if first is None:
        return values
    column = next(column for column in buckets(len(values), COLUMNS) if first in column)
    return [*values[: column.start], *[low] * (first + 1 - column.start), *values[first + 1 :]]


def _sample() -> Html:
    return el("svg", {"class": "sample", "viewBox": "0 0 40 8", "aria-hidden": "true"}, el("path", {"d": "M0 4H40"}))


def _words(report: Report, chosen: Sequence[int]) -> str:
    told = []
    for index in chosen:
        candidate = report.candidates[index]
        lowest = _lowest(_accumulated(candidate))
        broken = next((layer for layer in candidate.layers if layer.non_finite), None)
        until = f" before NaN or Inf from {shortened(broken.name)} on, where its line falls" if broken else ""
        unlike_served = "" if candidate.layers_served else ", in a run that does not give the served outputs"
        if lowest is not None:
            told.append(f"{candidate.name} {lowest:.1f} dB{until}{unlike_served}")
    return f"Lowest over the whole dataset, not by sample: {'; '.join(told)}." if told else ""


def _lowest(values: Values) -> float | None:
    return min((v for v in values if v is not None and math.isfinite(v)), default=None)
