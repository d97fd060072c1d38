"""The repair of what failed: before and after, what was found, what to deploy, and the path between, trial by trial."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Final

from assay_api.repair import RemedyEntry, RepairEntry, TrialEntry
from assay_api.report import CandidateReport, Report
from assay_runner.report.cures import OUTCOMES, budget_words, duration, verdict_of
from assay_runner.report.figures import NOT_MEASURED, bound, count, figure, milliseconds
from assay_runner.report.markup import Child, Html, badge, code, el, facts, tone
from assay_runner.report.repair_calibration import calibrations
from assay_runner.report.repair_path import path
from assay_runner.report.times import served_latency
from assay_runner.report.tradeoff import worst_snr
from assay_runner.report.wording import accuracy, candidate_verdict, shortened, worst_figure, worst_finding
from assay_runner.statistics.no_failure import most_failing

SHOWN: Final = 200
"""Trials on the page; a longer search is whole in report.json."""
_MINIMAL: Final = {
    "Proved": "Each of them is needed: each was tried narrow alone, and it failed.",
    "Implied": "Each of them is needed: a larger set without it failed.",
    "Proposed": "That each of them is needed was found by emulation alone.",
    "NotProved": "Whether each of them is needed was not proved: there may be a smaller set.",
}
_DEPLOY: Final = (
    ("model", "Model"),
    ("weights", "Weights"),
    ("calibration", "Calibration"),
    ("timing_cache", "Timing cache"),
    ("plan", "Engine"),
    ("tactics", "Tactics"),
    ("reproduce", "Script that builds it"),
)
_HEADERS: Final = ("Trial", "Verdict", "What was tried", "By", "Nodes wide", "Worst figure", "Latency", "Time")

_SPLITS: Final = {
    "search": "",
    "unseen": ", unseen samples",
    "told": ", unseen samples of which searches are told",
    "last": ", the last unseen samples",
}


def repair_section(report: Report, anchors: dict[str, str]) -> Html | None:
    """The section; None where nothing was repaired.

    Args:
        report: the report.
        anchors: candidate's name to the address of its section.
    """
    if not report.repair:
        return None
    parts: list[Child] = [el("h2", {"id": "repair"}, "Repair")]
    for number, entry in enumerate(report.repair):
        parts += [_entry(report, entry, number, anchors)]
    return el("section", {"aria-labelledby": "repair", "class": "repair"}, parts)


def beyond(samples: int) -> str:
    """What so many samples that all hold their limits say of others, rounded up."""
    most = 100 * most_failing(samples)
    digits = max(1, 1 - math.floor(math.log10(most)))
    most = math.ceil(most * 10**digits - 1e-9) / 10**digits
    return f"fewer than {most:.{digits}f} % of others like them do not, with 95 % confidence"


def _entry(report: Report, entry: RepairEntry, number: int, anchors: dict[str, str]) -> list[Child]:
    said = (
        f"Searched with {count(entry.search_samples)} samples; what was found is judged on "
        f"{count(entry.unseen_samples)} others, which no search has seen"
    )
    if entry.told_samples:
        last = entry.unseen_samples - entry.told_samples
        told = f"where {count(entry.told_samples)} of them told a search what was missing, on the other {count(last)}"
        said = f"{said}, once; {told}"
    if judged := entry.unseen_samples - entry.told_samples:
        said = f"{said}. Where each of {count(judged)} holds its limits, {beyond(judged)}"
    said = f"{said}."
    keys = list(dict.fromkeys(remedy.candidate for remedy in entry.remedies))
    per_candidate = [
        _candidate(report, key, [remedy for remedy in entry.remedies if remedy.candidate == key], anchors)
        for key in keys
    ]
    none = el("p", None, "No candidate could be repaired: none that failed is built here.") if not keys else None
    valid = facts((_VALID.get(name, name), value) for name, value in entry.valid_for.items())
    return [
        el("p", None, said, " Used: ", budget_words(report, entry), "."),
        none,
        per_candidate,
        path(chosen(entry.trials), number),
        _trials(entry.trials),
        [el("h3", None, "What it is valid for"), valid]
        if entry.valid_for and any(r.repaired for r in entry.remedies)
        else None,
    ]


_VALID: Final = {"model": "Model", "data": "Data", "versions": "Versions", "tensorrt": "TensorRT and GPU"}


def _candidate(report: Report, key: str, remedies: list[RemedyEntry], anchors: dict[str, str]) -> Html:
    repaired = [remedy.repaired for remedy in remedies if remedy.repaired]
    names = [key, *repaired]
    known = [c for name in names for c in report.candidates if c.name == name]
    rows = [_side(report, c, "after" if c.name != key else "before", anchors) for c in known]
    heads = ("", "Candidate", "Verdict", "Worst figure", "Accuracy", "SNR, worst sample", "Latency")
    table = _table("Before and after", heads, rows) if any(c.name != key for c in known) else None
    items = [_remedy(remedy) for remedy in remedies]
    return el("div", {"class": "mended"}, el("h3", None, key), table, el("ul", {"class": "findings"}, items))


def _side(report: Report, candidate: CandidateReport, side: str, anchors: dict[str, str]) -> list[Child]:
    noise, address = worst_snr(candidate), anchors.get(candidate.name)
    timed = served_latency(report, candidate)
    name = el("a", {"href": f"#{address}"}, candidate.name) if address else candidate.name
    return [
        side, name, badge(candidate_verdict(report, candidate)), worst_figure(worst_finding(report, candidate.name)),
        accuracy(candidate), NOT_MEASURED if noise is None else figure("snr", noise),
        milliseconds(timed.median_ms) if timed else NOT_MEASURED,
    ]  # fmt: skip


def _remedy(remedy: RemedyEntry) -> Html:
    verdict = verdict_of(remedy)
    kinds: dict[str, list[str]] = {}
    for node, kind in remedy.wide.items():
        kinds.setdefault(kind, []).append(node)
    lists = [
        el(
            "details", {"open": len(nodes) <= 12},
            el("summary", None, f"{len(nodes)} {'node' if len(nodes) == 1 else 'nodes'} kept in {kind.upper()}"),
            el("ul", {"class": "nodes"}, [el("li", None, code(node)) for node in nodes]),
        )
        for kind, nodes in kinds.items()
    ]  # fmt: skip
    deploy = [(label, code(uri)) for name, label in _DEPLOY if (uri := getattr(remedy.deploy, name))]
    return el(
        "li",
        {"class": f"finding {tone(verdict)}"},
        el("p", {"class": "where"}, badge(verdict), code(remedy.remedy), el("span", None, OUTCOMES[remedy.outcome])),
        el("p", {"class": "said"}, remedy.message),
        lists,
        el("p", {"class": "quiet"}, _MINIMAL[remedy.minimal]) if remedy.minimal and remedy.wide else None,
        calibrations(remedy, _table),
        [el("h4", None, "To deploy" if remedy.outcome == "Cured" else "Not to be deployed"), facts(deploy)]
        if deploy
        else None,
    )


def chosen(trials: tuple[TrialEntry, ...]) -> list[TrialEntry]:
    """Trials that are shown: of a long search what was judged on unseen samples, builds that passed, then the first."""
    if len(trials) <= SHOWN:
        return list(trials)
    ranked = sorted(trials, key=lambda t: (t.split == "search", t.oracle != "build" or t.verdict != "Passed", t.number))
    return sorted(ranked[:SHOWN], key=lambda trial: trial.number)


def _trials(trials: tuple[TrialEntry, ...]) -> Html | None:
    if not trials:
        return None
    shown = chosen(trials)
    timed = any(trial.latency_ms is not None for trial in shown)
    heads = [head for head in _HEADERS if timed or head != "Latency"]
    more = f" {len(trials) - len(shown)} more are in report.json." if len(shown) < len(trials) else ""
    known = sum(trial.known for trial in trials)
    again = f" {count(known)} known from an earlier trial." if known else ""
    summary = f"Every trial: {count(len(trials))}.{again}{more}"
    return el(
        "details",
        {"class": "trials"},
        el("summary", None, summary),
        _table("What was tried, in order", heads, [_trial(t, timed=timed) for t in shown]),
    )


def _trial(trial: TrialEntry, *, timed: bool) -> list[Child]:
    value = NOT_MEASURED
    if trial.value is not None:
        limit = f" (limit {bound(trial.metric, trial.limit)})" if trial.limit is not None else ""
        value = f"{trial.metric or 'value'} {figure(trial.metric, trial.value)}{limit}"
    by = f"{trial.remedy}, {trial.oracle}{_SPLITS[trial.split]}"
    because = el("small", None, shortened(trial.because, 240)) if trial.because and trial.verdict != "Passed" else None
    latency = milliseconds(trial.latency_ms) if trial.latency_ms is not None else NOT_MEASURED
    time = "known" if trial.known else duration(trial.seconds)
    return [
        str(trial.number), badge(trial.verdict), [shortened(trial.words, 240), because], by,
        count(trial.wide) if trial.wide else "–", value, *([latency] if timed else []), time,
    ]  # fmt: skip


def _table(caption: str, heads: Iterable[str], rows: Iterable[Iterable[Child]]) -> Html:
    head = el("tr", None, [el("th", {"scope": "col"}, text) for text in heads])
    body = [el("tr", None, [el("td", None, content) for content in row]) for row in rows]
    table = el(
        "table", None, el("caption", {"class": "unseen"}, caption), el("thead", None, head), el("tbody", None, body)
    )
    return el("div", {"class": "scroll", "tabindex": "0", "role": "region", "aria-label": caption}, table)
