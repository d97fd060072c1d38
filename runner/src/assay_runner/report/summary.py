"""The top of the page: verdict, what to ship, the candidates side by side.

Whoever opens it at night reads this part only, so it stands before everything else and works without scripts.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from assay_api.report import CandidateReport, DatasetEntry, GoldenEntry, Report, Verdict
from assay_runner.report.compare import compared
from assay_runner.report.engine import achieved_text
from assay_runner.report.figures import (
    NOT_MEASURED,
    bound,
    excess,
    figure,
    milliseconds,
    moment,
    named,
    percent,
    plain,
    rate,
    size,
)
from assay_runner.report.left_page import left_section, left_tag
from assay_runner.report.markup import Child, Html, badge, code, el, facts, icon, tone
from assay_runner.report.times import served_latency
from assay_runner.report.tradeoff import tradeoff, worst_snr
from assay_runner.report.wording import (
    EMULATED,
    SEVERITY,
    UNDECIDED,
    candidate_verdict,
    findings_of,
    headline,
    label_figure,
    label_metrics,
    overall,
    recommendation,
    remarkable,
    sentence,
    strain,
    worst_finding,
)


def hero(report: Report) -> Html:
    """Verdict, headline, emulation, recommendation and the facts of the run."""
    verdict = overall(report)
    of = "" if report.repair else "candidate "
    return el(
        "section",
        {"class": f"hero {tone(verdict)}", "aria-label": "Verdict"},
        el("p", {"class": "audit"}, report.audit, None if report.recommendation else f", {of}{report.task}"),
        el("h1", None, icon(verdict), el("span", None, str(verdict))),
        el("p", {"class": "headline"}, headline(report)),
        _leading(report),
        el("p", {"class": "emulated", "role": "note"}, EMULATED) if report.emulated else None,
        left_section(report),
        _recommendation(report),
        _facts(report),
    )


_CAUSES = ("finite", "fp16Range", "layerDrift")
"""Checks that name where it starts, which says more than what an output lacks; the surest first."""


def _leading(report: Report) -> Html | None:
    """The sentence of the worst finding, so that the cause stands beside the verdict."""
    unhappy = [f for c in report.candidates if (f := worst_finding(report, c.name)) and SEVERITY[f.verdict] < 2]
    if not unhappy:
        return None
    first = min(unhappy, key=lambda f: (SEVERITY[f.verdict], f.value is None, -strain(f)))
    same = [f for f in findings_of(report, first.candidate) if f.verdict is first.verdict]
    causes = (f for check in _CAUSES for f in same if f.check == check)
    first = next(causes, first)
    return el("p", {"class": "leading"}, el("b", None, f"{first.candidate}: "), sentence(first))


def _recommendation(report: Report) -> Html | None:
    sentence = recommendation(report)
    if not sentence:
        return None
    chosen = report.recommendation.candidate if report.recommendation else None
    label = el("h2", None, f"Ship {chosen}" if chosen else "Nothing to ship")
    return el("div", {"class": "recommendation"}, label, el("p", None, sentence))


def _facts(report: Report) -> Html:
    dataset, golden = report.dataset, report.golden
    return facts(
        [
            ("Run", code(report.run)),
            ("Content", code(report.content)),
            ("Made", el("time", {"datetime": report.created}, moment(report.created))),
            ("Ran on", _ran_on(report)),
            ("Samples", _samples(dataset)),
            ("Ignored arrays", ", ".join(dataset.ignored) if dataset.ignored else None),
            ("Golden", golden_name(golden)),
        ]
    )


def _ran_on(report: Report) -> str:
    """GPU and TensorRT of the engines, each different pair once; empty where none ran."""
    engines = [candidate.engine for candidate in report.candidates if not candidate.emulated]
    pairs = [(e.gpu, f"TensorRT {e.tensorrt}" if e.tensorrt else None) for e in engines]
    return "; ".join(dict.fromkeys(", ".join(filter(None, pair)) for pair in pairs if any(pair)))


def golden_name(golden: GoldenEntry) -> str:
    """The reference in a few words."""
    words = list(filter(None, (golden.precision, golden.backend)))
    if not words and golden.uri:
        return f"stored outputs, {golden.uri}"
    return ", ".join(words) or NOT_MEASURED


def _samples(dataset: DatasetEntry) -> str:
    samples, shards = plain(dataset.samples), dataset.shards
    if dataset.layout == "feeds":
        return f"{samples} {'feed' if dataset.samples == 1 else 'feeds'}"
    return f"{samples} in {plain(shards)} {'shard' if shards == 1 else 'shards'}" if shards else samples


def candidates_table(report: Report) -> Html:
    """One row per candidate; sortable where scripts run, a list of cards where the screen is narrow."""
    rows = [_row(report, index, candidate) for index, candidate in enumerate(report.candidates)]
    kept = [i for i, name in enumerate(_HEADERS) if name not in _OPTIONAL or any(row[i][1] is not None for row in rows)]
    heads = [el("th", {"scope": "col", "role": "columnheader"}, _HEADERS[i]) for i in kept]
    body = []
    for row in rows:
        cells = [_cell(_HEADERS[i], *row[i], head=i == 0) for i in kept]
        body.append(el("tr", {"role": "row"}, cells))
    table = el(
        "table",
        {"class": "cards stack sortable", "role": "table"},
        el("caption", {"class": "quiet"}, "The ways to build the model, each held against the golden outputs."),
        el("thead", {"role": "rowgroup"}, el("tr", {"role": "row"}, heads)),
        el("tbody", {"role": "rowgroup"}, body),
    )
    region = {"class": "scroll", "tabindex": "0", "role": "region", "aria-label": "Candidates side by side"}
    return el(
        "section",
        {"aria-labelledby": "candidates"},
        el("h2", {"id": "candidates"}, "Candidates"),
        el("div", region, table),
        tradeoff(report),
        compared(report),
    )


_OPTIONAL = ("SNR, worst sample", "Latency", "Throughput", "Size", "Memory", "Layers ran in")
_HEADERS = (
    "Candidate",
    "Verdict",
    "Precision",
    "Accuracy",
    "SNR, worst sample",
    "Worst figure",
    "Latency",
    "Throughput",
    "Size",
    "Memory",
    "Layers ran in",
)


def _cell(header: str, content: Child, sort: str | float | None, *, head: bool) -> Html:
    order = "" if sort is None else str(sort)
    if head:
        return el("th", {"scope": "row", "role": "rowheader", "data-sort": order}, content)
    return el("td", {"role": "cell", "data-label": header, "data-sort": order}, content)


def _row(report: Report, index: int, candidate: CandidateReport) -> list[tuple[Child, str | float | None]]:
    """(content, sort key) per column of `candidates_table`."""
    verdict = candidate_verdict(report, candidate)
    latency = served_latency(report, candidate)
    precision = candidate.precision or "as built"
    how = " ".join(word for word in (candidate.typing, candidate.backend) if word)
    emulated = el("span", {"class": "tag"}, "emulated") if candidate.emulated else None
    metrics = label_metrics(candidate)
    shown = _whole(milliseconds(latency.median_ms)) if latency else NOT_MEASURED
    timing: Child = [shown, _small(f"batch {latency.batch}") if latency else None]
    worst, strain = _worst(report, candidate)
    shipped = report.recommendation is not None and report.recommendation.candidate == candidate.name
    link = el("a", {"href": f"#candidate-{index}"}, candidate.name)
    noise = worst_snr(candidate)
    achieved = achieved_text(candidate)
    little = any(remarkable(f) and f.check == "achievedPrecision" for f in findings_of(report, candidate.name))
    return [
        ([link, _small(f"repair of {candidate.repaired}") if candidate.repaired else None], candidate.name),
        ([badge(verdict), left_tag(candidate), _ship(shipped)], SEVERITY[verdict]),
        ([precision, _small([how, emulated])], precision),
        (_accuracy(candidate), metrics[0][1] if metrics else None),
        (NOT_MEASURED if noise is None else "NaN or Inf" if noise == -math.inf else figure("snr", noise), noise),
        (worst, strain),
        (timing, latency.median_ms if latency else None),
        _optional(rate, latency.throughput if latency else None),
        _optional(size, candidate.size),
        _optional(size, candidate.memory),
        (el("span", {"class": "trouble"}, achieved) if little else achieved or NOT_MEASURED, achieved or None),
    ]


def _ship(shipped: bool) -> Html | None:
    return el("span", {"class": "tag ship"}, "ship") if shipped else None


def _optional(written: Callable[[Any], str], value: float | None) -> tuple[Child, float | None]:
    return (NOT_MEASURED if value is None else _whole(written(value)), value)


def _whole(figure_: str) -> Html:
    """A figure that keeps its unit on its line."""
    return el("span", {"class": "whole"}, figure_)


def _accuracy(candidate: CandidateReport) -> Child:
    metrics = label_metrics(candidate)
    if not metrics:
        return NOT_MEASURED
    metric, value, golden = metrics[0]
    note = [f"{metric}, golden ", _whole(percent(golden))] if golden is not None else metric
    return [_whole(label_figure(metric, value)), _small(note)]


def _worst(report: Report, candidate: CandidateReport) -> tuple[Child, float | None]:
    finding = worst_finding(report, candidate.name)
    if finding is None:
        return (NOT_MEASURED, None)
    tensor = _small(code(finding.tensor)) if finding.tensor else None
    if finding.value is None:
        judged = NOT_MEASURED if finding.verdict is Verdict.INCONCLUSIVE else str(finding.verdict).lower()
        return ([judged, _small(finding.check), tensor], -strain(finding))
    limit = _small(f"limit {bound(finding.metric, finding.limit)}") if finding.limit is not None else None
    beyond = excess(finding.metric, finding.value, finding.limit)
    shown = el("span", {"class": "whole"}, figure(finding.metric, finding.value))
    value = el("span", None, f"{named(finding.metric) if finding.metric else finding.check} ", shown)
    open_ = _small(UNDECIDED) if candidate_verdict(report, candidate) is Verdict.INCONCLUSIVE else None
    return ([value, limit, _small(beyond) if beyond else None, open_, tensor], -strain(finding))


def _small(content: Child) -> Html:
    return el("small", None, content)
