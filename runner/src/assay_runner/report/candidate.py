"""One candidate: outputs and labels against golden, error and range along the network, its engine.

The same parts stand in two places: folded, one candidate below the other, in the audit's summary; and each as a section
on the candidate's own page.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote

from assay_api.entries import MetricEntry, OutputEntry
from assay_api.names import REPORT_HTML
from assay_api.report import CandidateReport, Report, Verdict
from assay_api.task_kinds import REPAIR
from assay_runner.report.chart import chart
from assay_runner.report.engine import achieved_text, engine_parts
from assay_runner.report.figures import (
    NOT_MEASURED,
    bound,
    breaches,
    figure,
    metric_of,
    milliseconds,
    percent,
    plain,
    rate,
    size,
)
from assay_runner.report.formats import format_of
from assay_runner.report.histograms import histograms
from assay_runner.report.layers import tensors_table
from assay_runner.report.markup import Child, Html, badge, code, el, facts
from assay_runner.report.ranges import range_chart
from assay_runner.report.wording import built_beside, candidate_verdict, label_figure, label_metrics

OUTPUTS = 64
"""Graph outputs shown; a model with more has the rest in report.json."""
_OPEN = 3


@dataclass(frozen=True)
class Part:
    """A part of what is shown of a candidate; without a title it belongs to the top.

    Attributes:
        key: short name for its address.
        title: heading.
        body: what it holds.
    """

    key: str
    title: str
    body: Sequence[Child]


def candidate_section(report: Report, index: int, *, whole: bool, carried: bool) -> Html:
    """The folded section of candidate number `index` in a summary, open where it did not pass or where there are few.

    Args:
        report: the report.
        index: position of the candidate.
        whole: whether everything is shown here; else some of it on the candidate's own page only.
        carried: whether the page carries the candidate's tensors.
    """
    candidate = report.candidates[index]
    verdict = candidate_verdict(report, candidate)
    unfolded = verdict is not Verdict.PASSED or len(report.candidates) <= _OPEN
    title = f"candidate-{index}"
    summary = el("summary", None, el("h3", {"id": f"{title}-title"}, candidate.name), badge(verdict))
    body = [
        [el("h4", {"id": f"{title}-{part.key}"}, part.title) if part.title else None, part.body]
        for part in parts_of(candidate, index, level=5, whole=whole)
    ]
    return el(
        "details",
        {"class": "candidate", "id": title, "open": unfolded, **_alive(index, carried)},
        summary,
        el(
            "div", {"role": "group", "aria-labelledby": f"{title}-title"}, body, None if whole else _own_page(candidate)
        ),
    )


def candidate_sheets(report: Report, index: int, *, carried: bool) -> Html:
    """The candidate's own page: each part a section of its own."""
    candidate = report.candidates[index]
    title = f"candidate-{index}"
    sheets = []
    for part in parts_of(candidate, index, level=3, whole=True):
        identity = f"{title}-{part.key}"
        heading = el("h2", {"id": identity}, part.title or "What was run")
        sheets.append(el("section", {"aria-labelledby": identity}, heading, part.body))
    return el("div", {"class": "candidate", "id": title, **_alive(index, carried)}, sheets)


def _alive(index: int, carried: bool) -> dict[str, int | None]:
    return {"data-candidate": index if carried else None}


def parts_of(candidate: CandidateReport, index: int, *, level: int, whole: bool) -> list[Part]:
    """What is shown of a candidate, in order; nothing that was not measured.

    Args:
        candidate: the candidate.
        index: its position in the report.
        level: level of headings within a part.
        whole: whether ranges, histograms and the engine's layers are among it.
    """
    format_ = format_of(candidate)
    limits = f" against {format_.name}'s limits" if format_ else ""
    layers, along = candidate.layers, f"layers-{index}"
    parts = [
        Part("run", "", [_trouble(candidate), _facts(candidate)]),
        Part("drift", "Outputs and labels against golden", [_labels(candidate), _outputs(candidate)]),
        Part("depth", "Error along the network's depth", [chart(layers, along, candidate.fused)] if layers else []),
        Part("range", f"Range of every tensor{limits}", [range_chart(candidate, f"range-{index}")] if whole else []),
        Part(
            "tensors",
            "Every tensor that the engine makes" if candidate.fused else "Every tensor",
            [tensors_table(layers)] if layers else [],
        ),
        Part("histograms", "The worst tensors, value by value", histograms(candidate, level) if whole else []),
        Part("engine", "What the engine is made of", engine_parts(candidate, whole=whole)),
    ]
    return [part for part in parts if any(part.body)]


def _own_page(candidate: CandidateReport) -> Html:
    task = candidate.name
    if candidate.repaired:
        task = REPAIR if candidate.gpu_product is None else f"{REPAIR}@{candidate.gpu_product}"
    address = f"{quote(task.replace('@', '.'), safe='')}/{REPORT_HTML}"
    link = el("a", {"href": address}, f"the page of {task}")
    return el("p", {"class": "own"}, "Ranges, histograms and the engine's layers are on ", link, ".")


def _trouble(candidate: CandidateReport) -> list[Html]:
    notes = [el("li", None, note) for note in (*candidate.notes, *built_beside(candidate))]
    error = el("p", {"class": "trouble"}, f"No measurement: {candidate.error}") if candidate.error is not None else None
    return [part for part in (error, el("ul", {"class": "notes"}, notes) if notes else None) if part]


def _facts(candidate: CandidateReport) -> Html:
    latency = candidate.latency
    timing = NOT_MEASURED
    if latency:
        timing = (
            f"{milliseconds(latency.median_ms)} median, {milliseconds(latency.p99_ms)} p99 "
            f"(batch {latency.batch}, {latency.runs:,} {'run' if latency.runs == 1 else 'runs'})"
        )
    return facts(
        [
            ("Backend", f"{candidate.backend}{', emulated on CPU' if candidate.emulated else ''}"),
            ("Precision", candidate.precision or "as built"),
            ("Typing", candidate.typing),
            ("Samples judged", str(candidate.samples) if candidate.samples else NOT_MEASURED),
            ("Latency", timing),
            ("Throughput", rate(latency.throughput) if latency and latency.throughput is not None else None),
            ("Size", size(candidate.size) if candidate.size is not None else None),
            ("Device memory", size(candidate.memory) if candidate.memory is not None else None),
            ("Layers ran in", achieved_text(candidate)),
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
    own = any(row.floor is not None for entry in candidate.outputs for row in entry.metrics.values())
    heads = ["Metric", "Worst sample", "p99", "p50", "Limit", *(["Golden's own"] if own else []), "Sample"]
    bodies = [_output(entry, len(heads), own=own) for entry in candidate.outputs[:OUTPUTS]]
    parts = [_table("Outputs against golden: the worst sample decides, 99 % are as good as p99", heads, bodies)]
    if len(candidate.outputs) > OUTPUTS:
        more = f"{len(candidate.outputs) - OUTPUTS} more outputs are in report.json."
        parts.append(el("p", {"class": "quiet"}, more))
    return parts


def _output(entry: OutputEntry, columns: int, *, own: bool) -> Html:
    """A row group: the output's name, then one row per metric; `own`: with what golden itself holds."""
    name = el("th", {"scope": "rowgroup", "colspan": columns, "class": "group"}, code(entry.name))
    rows = [_metric(key, row, own=own) for key, row in entry.metrics.items()]
    nothing = el("tr", None, el("td", {"colspan": columns}, NOT_MEASURED))
    return el("tbody", None, el("tr", None, name), rows or nothing)


def _metric(key: str, row: MetricEntry, *, own: bool) -> Html:
    told = figure(key, row.worst)
    worst = el("strong", {"class": "beyond"}, f"✘ {told}") if breaches(key, row.worst, row.limit) else told
    cells = [
        worst,
        *("–" if value is None else figure(key, value) for value in (row.p99, row.p50)),
        "none" if row.limit is None else bound(key, row.limit),
        *(["–" if row.floor is None else figure(key, row.floor)] if own else []),
        "" if row.worst_sample is None else f"# {plain(row.worst_sample)}",
    ]
    head = el("th", {"scope": "row"}, code(key), el("small", None, metric_of(key).label))
    return el("tr", None, head, [el("td", {"class": "n"}, c) for c in cells])


def _table(caption: str, heads: Sequence[str], bodies: Sequence[Html]) -> Html:
    columns = [el("th", {"scope": "col", "class": "n" if i else None}, h) for i, h in enumerate(heads)]
    table = el("table", None, el("caption", None, caption), el("thead", None, el("tr", None, columns)), bodies)
    return el("div", {"class": "scroll", "tabindex": "0", "role": "region", "aria-label": caption}, table)
