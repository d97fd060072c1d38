"""The top of the page: verdict, what to ship, the candidates side by side.

Whoever opens it at night reads this part only, so it stands before everything else and works without scripts.
"""

from __future__ import annotations

from typing import Any

from assay_api.report import CandidateReport, Report, Verdict
from assay_runner.report.figures import NOT_MEASURED, bound, excess, figure, milliseconds, number, percent, plain, size
from assay_runner.report.markup import Child, Html, badge, code, el, facts, icon, tone
from assay_runner.report.wording import (
    EMULATED,
    SEVERITY,
    UNDECIDED,
    candidate_verdict,
    headline,
    label_figure,
    label_metrics,
    overall,
    recommendation,
    sentence,
    strain,
    worst_finding,
)


def hero(report: Report) -> Html:
    """Verdict, headline, emulation, recommendation and the facts of the run."""
    verdict = overall(report)
    title = el("h1", None, icon(verdict), el("span", None, str(verdict)))
    return el(
        "section",
        {"class": f"hero {tone(verdict)}", "aria-label": "Verdict"},
        el("p", {"class": "audit"}, report.audit),
        title,
        el("p", {"class": "headline"}, headline(report)),
        _leading(report),
        el("p", {"class": "emulated", "role": "note"}, EMULATED) if report.emulated else None,
        _recommendation(report),
        _facts(report),
    )


def _leading(report: Report) -> Html | None:
    """The sentence of the worst finding, so that the cause stands beside the verdict."""
    unhappy = [f for c in report.candidates if (f := worst_finding(report, c.name)) and SEVERITY[f.verdict] < 2]
    if not unhappy:
        return None
    first = min(unhappy, key=lambda f: SEVERITY[f.verdict])
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
    ignored = dataset.get("ignored")
    return facts(
        [
            ("Run", code(report.run)),
            ("Made", el("time", {"datetime": report.created}, report.created.replace("T", " ").replace("Z", " UTC"))),
            ("Samples", _samples(dataset)),
            ("Ignored arrays", _names(ignored) if ignored else None),
            ("Golden", golden_name(golden)),
            ("Task", None if report.recommendation else code(report.task)),
        ]
    )


def golden_name(golden: dict[str, Any]) -> str:
    """The reference in a few words."""
    words = [str(golden[key]) for key in ("precision", "backend") if golden.get(key)]
    if not words and golden.get("uri"):
        return f"stored outputs, {golden['uri']}"
    return ", ".join(words) or NOT_MEASURED


def _samples(dataset: dict[str, Any]) -> str:
    samples = plain(dataset.get("samples"))
    shards = dataset.get("shards")
    count = len(shards) if isinstance(shards, list | tuple) else shards
    return f"{samples} in {plain(count)} {'shard' if count == 1 else 'shards'}" if count else samples


def _names(names: Any) -> str:
    return ", ".join(str(name) for name in names) if isinstance(names, list | tuple) else str(names)


def candidates_table(report: Report) -> Html:
    """One row per candidate; sortable where scripts run, a list of cards where the screen is narrow."""
    headers = ["Candidate", "Verdict", "Precision", "Backend", "Accuracy", "Worst figure", "Latency", "Size"]
    rows = [_row(report, index, candidate) for index, candidate in enumerate(report.candidates)]
    kept = [i for i, name in enumerate(headers) if name != "Size" or any(c.size is not None for c in report.candidates)]
    heads = [el("th", {"scope": "col", "role": "columnheader"}, headers[i]) for i in kept]
    body = []
    for row in rows:
        cells = [_cell(headers[i], *row[i], head=i == 0) for i in kept]
        body.append(el("tr", {"role": "row"}, cells))
    return el(
        "section",
        {"aria-labelledby": "candidates"},
        el("h2", {"id": "candidates"}, "Candidates"),
        el(
            "table",
            {"class": "cards sortable", "role": "table"},
            el("caption", {"class": "quiet"}, "The ways to build the model, each held against the golden outputs."),
            el("thead", {"role": "rowgroup"}, el("tr", {"role": "row"}, heads)),
            el("tbody", {"role": "rowgroup"}, body),
        ),
    )


def _cell(header: str, content: Child, sort: str | float | None, *, head: bool) -> Html:
    order = "" if sort is None else str(sort)
    if head:
        return el("th", {"scope": "row", "role": "rowheader", "data-sort": order}, content)
    return el("td", {"role": "cell", "data-label": header, "data-sort": order}, content)


def _row(report: Report, index: int, candidate: CandidateReport) -> list[tuple[Child, str | float | None]]:
    """(content, sort key) per column of `candidates_table`."""
    verdict = candidate_verdict(report, candidate)
    latency = candidate.latency
    precision = " ".join(word for word in (candidate.precision, candidate.typing) if word) or "as built"
    backend: Child = [candidate.backend, el("span", {"class": "tag"}, "emulated") if candidate.emulated else None]
    metrics = label_metrics(candidate)
    shown = milliseconds(latency.median_ms) if latency else NOT_MEASURED
    timing: Child = [shown, _small(f"batch {latency.batch}") if latency else None]
    worst, strain = _worst(report, candidate)
    return [
        (el("a", {"href": f"#candidate-{index}"}, candidate.name), candidate.name),
        (badge(verdict), SEVERITY[verdict]),
        (precision, precision),
        (backend, candidate.backend),
        (_accuracy(candidate), number(metrics[0][1]) if metrics else None),
        (worst, strain),
        (timing, number(latency.median_ms) if latency else None),
        (size(candidate.size), candidate.size),
    ]


def _accuracy(candidate: CandidateReport) -> Child:
    metrics = label_metrics(candidate)
    if not metrics:
        return NOT_MEASURED
    metric, value, golden = metrics[0]
    note = f"{metric}, golden {percent(golden)}" if golden is not None else metric
    return [label_figure(metric, value), _small(note)]


def _worst(report: Report, candidate: CandidateReport) -> tuple[Child, float | None]:
    finding = worst_finding(report, candidate.name)
    if finding is None:
        return (NOT_MEASURED, None)
    tensor = _small(code(finding.tensor)) if finding.tensor else None
    if number(finding.value) is None:
        judged = NOT_MEASURED if finding.verdict is Verdict.INCONCLUSIVE else str(finding.verdict).lower()
        return ([judged, _small(finding.check), tensor], -strain(finding))
    limit = _small(f"limit {bound(finding.metric, finding.limit)}") if number(finding.limit) is not None else None
    beyond = excess(finding.metric, finding.value, finding.limit)
    value = f"{finding.metric or finding.check} {figure(finding.metric, finding.value)}"
    open_ = _small(UNDECIDED) if candidate_verdict(report, candidate) is Verdict.INCONCLUSIVE else None
    return ([value, limit, _small(beyond) if beyond else None, open_, tensor], -strain(finding))


def _small(content: Child) -> Html:
    return el("small", None, content)
