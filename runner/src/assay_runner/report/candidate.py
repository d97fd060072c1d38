"""One candidate's section: its outputs against the golden ones, its labels, its layers, and what a reader must know."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from assay_api.report import CandidateReport, Report, Verdict
from assay_runner.report.chart import chart
from assay_runner.report.figures import (
    NOT_MEASURED,
    bound,
    breaches,
    figure,
    metric_of,
    milliseconds,
    number,
    percent,
    plain,
    size,
)
from assay_runner.report.layers import tensors_table
from assay_runner.report.markup import Html, badge, code, el, facts
from assay_runner.report.wording import candidate_verdict, label_figure, label_metrics

OUTPUTS = 64
"""Graph outputs shown; a model with more has the rest in report.json."""
_OPEN = 3


def candidate_section(report: Report, index: int) -> Html:
    """The section of candidate number `index`, unfolded where it did not pass or where there are few."""
    candidate = report.candidates[index]
    verdict = candidate_verdict(report, candidate)
    unfolded = verdict is not Verdict.PASSED or len(report.candidates) <= _OPEN
    title = f"candidate-{index}"
    summary = el("summary", None, el("h3", {"id": f"{title}-title"}, candidate.name), badge(verdict))
    body = [_trouble(candidate), _facts(candidate), _labels(candidate), _outputs(candidate), _layers(candidate, index)]
    return el(
        "details",
        {"class": "candidate", "id": title, "open": unfolded, "data-candidate": index},
        summary,
        el("div", {"role": "group", "aria-labelledby": f"{title}-title"}, body),
    )


def _trouble(candidate: CandidateReport) -> list[Html]:
    notes = [el("li", None, note) for note in candidate.notes]
    error = el("p", {"class": "trouble"}, f"No measurement: {candidate.error}") if candidate.error is not None else None
    return [part for part in (error, el("ul", {"class": "notes"}, notes) if notes else None) if part]


def _facts(candidate: CandidateReport) -> Html:
    latency = candidate.latency
    timing = NOT_MEASURED
    if latency:
        timing = (
            f"{milliseconds(latency.median_ms)} median, {milliseconds(latency.p99_ms)} p99 "
            f"(batch {latency.batch}, {latency.runs} runs)"
        )
    return facts(
        [
            ("Backend", f"{candidate.backend}{', emulated on CPU' if candidate.emulated else ''}"),
            ("Precision", candidate.precision or "as built"),
            ("Typing", candidate.typing),
            ("Samples judged", str(candidate.samples) if candidate.samples else NOT_MEASURED),
            ("Latency", timing),
            ("Size", size(candidate.size) if candidate.size is not None else None),
        ]
    )


def _labels(candidate: CandidateReport) -> Html | None:
    metrics = label_metrics(candidate)
    if not metrics:
        return None
    rows = []
    for metric, value, golden in metrics:
        change = "" if golden is None else f"{(value - golden) * 100:+.2f} points"
        kept = percent(value / golden) if golden else NOT_MEASURED
        cells = [label_figure(metric, value), NOT_MEASURED if golden is None else percent(golden), change, kept]
        rows.append(el("tr", None, el("th", {"scope": "row"}, metric), [el("td", {"class": "n"}, c) for c in cells]))
    heads = ["Metric", "Candidate", "Golden", "Change", "Kept"]
    return _table("Label accuracy", heads, [el("tbody", None, rows)])


def _outputs(candidate: CandidateReport) -> list[Html]:
    if not candidate.outputs:
        return []
    heads = ["Metric", "Worst sample", "p99", "p50", "Limit", "Sample"]
    bodies = [_output(entry) for entry in candidate.outputs[:OUTPUTS]]
    parts = [_table("Outputs against golden: the worst sample decides, 99 % are as good as p99", heads, bodies)]
    if len(candidate.outputs) > OUTPUTS:
        more = f"{len(candidate.outputs) - OUTPUTS} more outputs are in report.json."
        parts.append(el("p", {"class": "quiet"}, more))
    return parts


def _output(entry: Mapping[str, Any]) -> Html:
    """A row group: the output's name, then one row per metric."""
    given = entry.get("metrics")
    metrics = given if isinstance(given, Mapping) else {}
    name = el("th", {"scope": "rowgroup", "colspan": 6, "class": "group"}, code(str(entry.get("name", "output"))))
    rows = [_metric(str(key), row) for key, row in metrics.items() if isinstance(row, Mapping)]
    nothing = el("tr", None, el("td", {"colspan": 6}, NOT_MEASURED))
    return el("tbody", None, el("tr", None, name), rows or nothing)


def _metric(key: str, row: Mapping[str, Any]) -> Html:
    limit, value = row.get("limit"), row.get("worst")
    beyond = breaches(key, value, limit)
    worst = el("strong", {"class": "beyond"}, f"✘ {figure(key, value)}") if beyond else figure(key, value)
    sample = number(row.get("worstSample"))
    cells = [
        worst,
        *(figure(key, row.get(part)) if "p50" in row or "p99" in row else "–" for part in ("p99", "p50")),
        bound(key, limit) if number(limit) is not None else "none",
        "" if sample is None else f"# {plain(sample)}",
    ]
    head = el("th", {"scope": "row"}, code(key), el("small", None, metric_of(key).label))
    return el("tr", None, head, [el("td", {"class": "n"}, c) for c in cells])


def _layers(candidate: CandidateReport, index: int) -> list[Html | None]:
    if not candidate.layers:
        return []
    heading = el("h4", None, "Along the network")
    return [heading, chart(candidate.layers, f"layers-{index}"), tensors_table(candidate.layers)]


def _table(caption: str, heads: Sequence[str], bodies: Sequence[Html]) -> Html:
    columns = [el("th", {"scope": "col", "class": "n" if i else None}, h) for i, h in enumerate(heads)]
    table = el("table", None, el("caption", None, caption), el("thead", None, el("tr", None, columns)), bodies)
    return el("div", {"class": "scroll", "tabindex": "0", "role": "region", "aria-label": caption}, table)
