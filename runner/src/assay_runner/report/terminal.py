"""The verdicts on a terminal: a table that fits 80 columns, the sentences of what failed, what to ship.

A table cannot hold a tensor's full name in 80 columns, so the table gives figures and the sentences below it give
names in full. Where there are too few columns for figures in a row, a list takes the table's place. Piped, the
sentences are one line each, so that `grep` finds them whole. Everything is printed as plain text: no name is ever read
as markup or as an escape sequence.
"""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from assay_api.report import CandidateReport, Finding, Report, Verdict
from assay_runner.report.cures import OUTCOMES, budget_words, verdict_of
from assay_runner.report.figures import NOT_MEASURED, bound, figure, milliseconds
from assay_runner.report.left import LEFT, left_whole, told_left
from assay_runner.report.plain_words import LEGEND, plainly, short
from assay_runner.report.times import any_served, served_latency
from assay_runner.report.wording import (
    EMULATED,
    MARKS,
    UNDECIDED,
    accuracy,
    candidate_verdict,
    headline,
    one_line,
    overall,
    recommendation,
    remarkable,
    sentence,
    shortened,
    sorted_findings,
    told_once,
    worst_finding,
)

NARROW = 80
"""Columns below which a table would cut figures in two."""
TENSOR = 24
STYLES = {Verdict.PASSED: "green", Verdict.FAILED: "bold red", Verdict.INCONCLUSIVE: "yellow"}
SENTENCES = 20


def print_verdicts(report: Report, console: Console) -> None:
    """Print the verdict table, the failing findings' sentences and the recommendation.

    Args:
        report: the report of an audit or of one task.
        console: where to; its width, colour and encoding are respected.
    """
    console.print()
    if report.emulated:
        _sentence(console, Text(_safe(console, EMULATED), style="yellow"))
        console.print()
    if report.candidates:
        console.print(_table(report, console) if console.width >= NARROW else _list(report, console))
    told = told_once(_told(report))
    for group in told[:SENTENCES]:
        _findings(console, group)
    if left := sum(map(len, told[SENTENCES:])):
        _sentence(console, Text(f"... and {left} more findings, in the report."))
    for what, whose, why in told_left(report):
        _sentence(console, Text(_safe(console, f"- {', '.join(whose)}: {what}: {LEFT}: {why}"), style="yellow"))
    _repairs(report, console)
    messages = {finding.message for finding in report.findings}
    for error in dict.fromkeys(c.error for c in report.candidates if c.error and c.error not in messages):
        names = ", ".join(candidate.name for candidate in report.candidates if candidate.error == error)
        _sentence(console, _marked(console, Verdict.INCONCLUSIVE, f"{names}: {error}"))
    console.print()
    _sentence(console, _marked(console, overall(report), f"{overall(report)}. {headline(report)}"))
    if recommendation(report):
        advice = f"Recommendation: {plainly(recommendation(report))}"
        _sentence(console, Text(_safe(console, advice), style="bold"))
    if any("golden" in finding.message for group in told for finding in group):
        _sentence(console, Text(_safe(console, LEGEND), style="dim"))


def _repairs(report: Report, console: Console) -> None:
    """What was tried of every candidate that failed, and what came of it."""
    for entry in report.repair:
        console.print()
        _sentence(console, Text(_safe(console, f"Repair: {len(entry.trials)} trials, {budget_words(report, entry)}")))
        for remedy in entry.remedies:
            text = f"{remedy.candidate}, {remedy.remedy}: {OUTCOMES[remedy.outcome]}: {plainly(remedy.message)}"
            _sentence(console, _marked(console, verdict_of(remedy), text))


def _told(report: Report) -> list[Finding]:
    """What did not pass, and what passed with a remark."""
    return sorted_findings(f for f in report.findings if f.verdict is not Verdict.PASSED or remarkable(f))


def _findings(console: Console, group: Sequence[Finding]) -> None:
    """What is said of all of them, once."""
    names = ", ".join(dict.fromkeys(finding.candidate for finding in group))
    _sentence(console, _marked(console, group[0].verdict, f"{names}: {plainly(sentence(group[0]))}"))


def _table(report: Report, console: Console) -> Table:
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, collapse_padding=True, show_edge=False)
    table.add_column("Candidate", overflow="fold", min_width=9)
    table.add_column("Verdict", no_wrap=True)
    # A figure must not lose its unit; names and sentences give way.
    table.add_column("Accuracy", justify="right", no_wrap=True)
    table.add_column("Worst figure", overflow="fold", min_width=24)
    if any_served(report):
        table.add_column("Latency", justify="right", no_wrap=True)
    for candidate in report.candidates:
        table.add_row(*_row(report, candidate, console))
    # Without the last column's padding, a table that must shrink shrinks by too little, and cuts a unit.
    table.pad_edge = table.__rich_measure__(console, console.options.update(max_width=9999)).maximum > console.width
    return table


def _list(report: Report, console: Console) -> Group:
    """The table's cells, one below the other."""
    parts: list[Text | Table] = []
    for candidate in report.candidates:
        name, verdict, *cells = _row(report, candidate, console)
        grid = Table.grid(padding=(0, 1))
        grid.add_column(no_wrap=True)
        grid.add_column(overflow="fold")
        for head, cell in zip(("  Accuracy", "  Worst figure", "  Latency"), cells, strict=False):
            grid.add_row(head, cell)
        parts += [Text.assemble(name, "  ", verdict, overflow="fold"), grid]
    return Group(*parts)


def _row(report: Report, candidate: CandidateReport, console: Console) -> tuple[Text, ...]:
    verdict = candidate_verdict(report, candidate)
    timed = served_latency(report, candidate)
    latency = milliseconds(timed.median_ms) if timed else NOT_MEASURED
    cells = (
        Text(_safe(console, candidate.name)),
        _marked(console, verdict, "For the GPU" if left_whole(candidate) else str(verdict), whole=True),
        Text(_safe(console, _brief(accuracy(candidate)))),
        Text(_safe(console, _worst(worst_finding(report, candidate.name), verdict))),
        Text(_safe(console, _brief(latency))),
    )
    return cells if any_served(report) else cells[:-1]


def _brief(text: str) -> str:
    return "–" if text == NOT_MEASURED else text


def _worst(finding: Finding | None, verdict: Verdict) -> str:
    """The figure, whether it decides anything, and its tensor, in a few words."""
    if finding is None:
        return NOT_MEASURED
    place = shortened(one_line(finding.tensor), TENSOR) if finding.tensor else ""
    if finding.value is None:
        return f"{finding.check} {place}".strip()
    limit = f" ({bound(finding.metric, finding.limit)})" if finding.limit is not None else ""
    value = f"{short(finding.metric)} {figure(finding.metric, finding.value)}{limit}"
    value += f", {UNDECIDED}" if verdict is Verdict.INCONCLUSIVE else ""
    return f"{value} {place}".strip()


def _marked(console: Console, verdict: Verdict, text: str, *, whole: bool = False) -> Text:
    marked = Text(_safe(console, MARKS[verdict]), style=STYLES[verdict])
    return marked.append(f" {_safe(console, text)}", style=None if whole else "not bold default")


def _sentence(console: Console, text: Text) -> None:
    console.print(text, soft_wrap=not console.is_terminal)


def _safe(console: Console, text: str) -> str:
    """One line that the console's encoding can carry."""
    line = one_line(text)
    try:
        line.encode(console.encoding)
    except (UnicodeEncodeError, LookupError):
        for symbol, ascii_form in _ASCII.items():
            line = line.replace(symbol, ascii_form)
        line = line.encode("ascii", "backslashreplace").decode()
    return line


_ASCII = {"✔": "+", "✘": "x", "≤": "<=", "≥": ">=", "∞": "inf", "…": "...", "×": "x", "–": "-"}
