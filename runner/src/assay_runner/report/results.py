"""The findings, worst first, each led by its one sentence; what passed is folded away below."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from assay_api.details import Details
from assay_api.report import Finding, Report, Verdict
from assay_runner.report.figures import bound, excess, figure, named, number
from assay_runner.report.markup import Child, Html, badge, code, el, facts, join, tone
from assay_runner.report.values import cell, words
from assay_runner.report.wording import remarkable, sentence, sorted_findings, told_once

SHOWN = 200
"""Findings on the page; a longer list is in report.json and says so."""


def findings_list(report: Report, anchors: Mapping[str, str]) -> Html:
    """Every finding.

    Args:
        report: the report.
        anchors: candidate's name to the address of its section.
    """
    ordered = sorted_findings(report.findings)
    unhappy = [f for f in ordered if f.verdict is not Verdict.PASSED]
    passed = [f for f in ordered if f.verdict is Verdict.PASSED and not remarkable(f)]
    remarked = [f for f in ordered if remarkable(f)]
    told = [*unhappy, *remarked]
    body: list[Child] = []
    if not unhappy and ordered:
        left = any(candidate.left for candidate in report.candidates)
        also = "what is left for the GPU is listed above" if left else "nothing was left open"
        text = f"Nothing failed, and {also}: all {len(ordered)} findings passed."
        body.append(el("p", None, text))
    if told:
        items = [_findings(group, anchors) for group in _alike(told[:SHOWN])]
        body.append(el("ol", {"class": "findings", "data-filterable": len(items) > 8}, items))
        body.append(_more(len(told)))
    elif not ordered:
        body.append(el("p", None, "There are no findings: nothing was judged."))
    if passed:
        body.append(_passed(passed, anchors, remarked=bool(remarked)))
    return el("section", {"aria-labelledby": "findings"}, el("h2", {"id": "findings"}, "Findings"), body)


def _more(count: int) -> Html | None:
    if count <= SHOWN:
        return None
    return el("p", {"class": "quiet"}, f"{count - SHOWN} more findings are in report.json; the {SHOWN} worst are here.")


def _alike(findings: Sequence[Finding]) -> list[tuple[Finding, ...]]:
    """Findings that one sentence tells, where they have no figures of their own."""
    groups = told_once(findings)
    return [part for group in groups for part in ([group] if _bare(group) else [(finding,) for finding in group])]


def _bare(group: Sequence[Finding]) -> bool:
    return all(finding.value is None and finding.details == group[0].details for finding in group)


def _findings(group: Sequence[Finding], anchors: Mapping[str, str]) -> Html:
    finding = group[0]
    metric = finding.metric or "value"
    by_candidate: dict[str, list[str]] = {}
    for each in group:
        by_candidate.setdefault(each.candidate, []).append(each.check)
    named = [
        part
        for candidate, checks in by_candidate.items()
        for part in (_link(candidate, anchors), *map(code, dict.fromkeys(checks)))
    ]
    return el(
        "li",
        {"class": f"finding {tone(finding.verdict)}"},
        el("p", {"class": "where"}, badge(finding.verdict), *named),
        el("p", {"class": "sentence"}, sentence(finding)),
        facts(
            [
                ("Tensor", code(finding.tensor)),
                ("Node", code(finding.node)),
                (metric, _value(finding)),
            ],
            "facts inline",
        ),
        _details(finding.details),
    )


def _value(finding: Finding) -> Child:
    if finding.value is None:
        return None
    limit = f", limit {bound(finding.metric, finding.limit)}" if finding.limit is not None else ""
    beyond = excess(finding.metric, finding.value, finding.limit)
    return [
        el("strong", None, figure(finding.metric, finding.value)),
        limit,
        f" ({beyond})" if beyond else None,
    ]


def _link(candidate: str, anchors: Mapping[str, str]) -> Html:
    address = anchors.get(candidate)
    return el("a", {"href": f"#{address}"}, candidate) if address else el("span", None, candidate)


def _details(measured: Details) -> Html | None:
    """Single values as facts, records of the same kind in one table, the rest each for itself."""
    details = measured.model_dump(by_alias=True, exclude_none=True, exclude={"remark"})
    if not details:
        return None
    single = [(words(key), cell(value)) for key, value in details.items() if not value or not _holds_more(value)]
    texts = {key: value for key, value in details.items() if isinstance(value, Mapping) and _all_texts(value)}
    records: dict[tuple[str, ...], dict[str, Any]] = {}
    for key, value in details.items():
        if isinstance(value, Mapping) and value and key not in texts:
            records.setdefault(tuple(value), {})[key] = value
    lists = [(words(key), cell(value)) for key, value in details.items() if isinstance(value, list | tuple) and value]
    lists += [(words(key), facts((name, text) for name, text in value.items())) for key, value in texts.items()]
    return el(
        "details",
        None,
        el("summary", None, "Everything this check measured"),
        facts(single),
        [cell(alike) for alike in records.values()],
        [[el("p", {"class": "quiet"}, key), shown] for key, shown in lists],
    )


def _holds_more(value: Any) -> bool:
    return isinstance(value, list | tuple | Mapping)


def _all_texts(value: Mapping[str, Any]) -> bool:
    return bool(value) and all(isinstance(text, str) and number(text) is None for text in value.values())


def _passed(passed: list[Finding], anchors: Mapping[str, str], *, remarked: bool) -> Html:
    heads = join(el("th", {"scope": "col"}, name) for name in ("Candidate", "Check", "Figure", "What was found"))
    rows: Iterable[Html] = (
        el(
            "tr",
            None,
            el("td", None, _link(f.candidate, anchors)),
            el("td", None, code(f.check)),
            el("td", None, [f"{named(f.metric)} ", _value(f)] if f.value is not None else ""),
            el("td", None, sentence(f)),
        )
        for f in passed[:SHOWN]
    )
    table = el(
        "table",
        None,
        el("caption", {"class": "quiet"}, "Findings within their limits"),
        el("thead", None, el("tr", None, heads)),
        el("tbody", None, rows),
    )
    more = "more " if remarked else ""
    count = f"{len(passed)} {more}{'finding' if len(passed) == 1 else 'findings'} passed"
    region = {"class": "scroll", "tabindex": "0", "role": "region", "aria-label": "Findings that passed"}
    return el(
        "details",
        {"class": "passed-findings"},
        el("summary", None, count),
        el("div", region, table),
        _more(len(passed)),
    )
