"""The page of a sweep: a map of models and targets, what did not pass by its cause, what to ship, the last runs.

Ten thousand cells are one table without a script: a cell is a few bytes, and what did not pass is told once, below.
"""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, Final

from assay_api.baseline import MATTERS
from assay_api.report import Verdict
from assay_runner.report.advice_page import advice_section
from assay_runner.report.frame import framed
from assay_runner.report.gate_page import gate_section
from assay_runner.report.heat import heat_map
from assay_runner.report.markup import Html, badge, data_block, el, icon, join, row, table, tone
from assay_runner.report.sweep_cells import UNJUDGED, CellShown, Column, SweepShown

MOST_LISTED: Final = 200
"""Cells of one cause that are listed; all of them are in the map."""
_PARTS: Final = (
    ("map", "Map"), ("causes", "Regressions and failures"), ("advice", "Recommendations"), ("runs", "Runs"),
)  # fmt: skip
_HEADS: Final = ("Model", "Candidate", "Image", "Verdict", "What was found", "Beside what was accepted", "Its page")
_TITLES: Final = {Verdict.FAILED: "Failed", Verdict.INCONCLUSIVE: "Inconclusive", Verdict.PASSED: "Passed"}
_STATES: Final = {"New": "+"}
_MARKS: Final = {Verdict.PASSED: "✓", Verdict.FAILED: "✕", Verdict.INCONCLUSIVE: "?", None: "–"}


def render_sweep(sweep: SweepShown) -> bytes:
    """A sweep as one self-contained HTML page in UTF-8."""
    return framed(
        title=join([f"{_TITLES[sweep.verdict]}: {sweep.name} · Assay"]),
        verdict=sweep.verdict,
        links=join(el("a", {"href": f"#{target}"}, text) for target, text in _parts(sweep)),
        main=join([_hero(sweep), *_gate(sweep), _map(sweep), _causes(sweep), _advice(sweep), _runs(sweep)]),
        data=data_block({}),
        source="the statuses of the sweep and its audits",
        styles=("sweep.css",),
    )


def _parts(sweep: SweepShown) -> tuple[tuple[str, str], ...]:
    return ((("gate", "Upgrade gate"),) if sweep.gate else ()) + _PARTS


def _gate(sweep: SweepShown) -> Iterator[Html]:
    if sweep.gate is not None:
        targets = [each for each in sweep.status.get("targets") or () if isinstance(each, Mapping)]
        told = ", ".join(f"{each.get('gpuProduct')} {each['driver']}" for each in targets if each.get("driver"))
        drivers = f" Drivers: {told}." if told else ""
        yield gate_section(sweep.gate, sweep.images, drivers, sweep.name.partition("/")[0])


def _advice(sweep: SweepShown) -> Html:
    return advice_section(sweep, sweep.name.partition("/")[0])


def _hero(sweep: SweepShown) -> Html:
    tally = Counter(cell.verdict for cell in sweep.cells)
    regressed = sum(cell.regressed for cell in sweep.cells)
    told = [f"{tally[verdict]} {verdict.lower()}" for verdict in _TITLES if tally[verdict]]
    told += [f"{tally[None]} without an answer"] if tally[None] else []
    lines = [f"{', '.join(told) or 'No cell yet'} of {len(sweep.cells)} cells; {regressed} regressed."]
    lines += [f"Run {sweep.run}."] if sweep.run else []
    lines += [f"Next run: {sweep.status['nextScheduleTime']}."] if sweep.status.get("nextScheduleTime") else []
    states = Counter(cell.state for cell in sweep.cells if cell.state)
    if states:
        beside = ", ".join(f"{states[state]} {state.lower()}" for state in MATTERS if states[state])
        lines.append(f"Beside what was accepted: {beside}.")
    lines += [f"{doubt}." for doubt in sweep.doubts]
    if sweep.unread:
        lines.append(f"{sweep.unread} audits with the sweep's label are not its own, or cannot be read: left out.")
    return el(
        "section",
        {"class": f"hero {tone(sweep.verdict)}", "aria-label": "Verdict"},
        el("p", {"class": "audit"}, f"{sweep.name}, a sweep"),
        el("h1", None, icon(sweep.verdict), el("span", None, _TITLES[sweep.verdict])),
        [el("p", None, line) for line in lines],
    )


def _map(sweep: SweepShown) -> Html:
    columns, anchors = sweep.columns, _anchors(sweep)
    by_place = {(cell.model, cell.column): cell for cell in sweep.cells}
    keys = (
        "✓ passed, ✕ failed, ? inconclusive, – no answer, … being audited; ! marks what is worse than what was "
        "accepted, or passed before; + that of which nothing was accepted yet"
    )
    rows = ((model, [_square(by_place.get((model, column)), anchors) for column in columns]) for model in sweep.models)
    captions = "Map of models and targets", "Verdicts by model and target"
    return el(
        "section",
        {"aria-labelledby": "map"},
        el("h2", {"id": "map"}, "Map"),
        el("p", {"class": "quiet"}, keys),
        heat_map(*captions, map(_head, columns), rows),
    )


def _head(column: Column) -> Iterator[Html | str]:
    name, _, product = column.candidate.partition("@")
    yield name
    yield from (el("small", None, part) for part in (product, column.image) if part)


def _square(cell: CellShown | None, anchors: Mapping[str, str]) -> Html:
    if cell is None:
        return el("td", None)
    mark = "…" if cell.going else _MARKS[cell.verdict] + ("!" if cell.regressed else _STATES.get(cell.state, ""))
    shown = tone(cell.verdict) if cell.verdict else "unjudged"
    said = " ".join(filter(None, (f"{cell.state}: {cell.beside}" if cell.state else "", cell.message)))[:300]
    if not cell.regressed and (cell.verdict is Verdict.PASSED or cell.going):
        return el("td", {"class": shown, "title": said if cell.state else None}, mark)
    return el("td", {"class": shown}, el("a", {"href": f"#{anchors[cell.cause]}", "title": said}, mark))


def _anchors(sweep: SweepShown) -> dict[str, str]:
    return {cause: f"cause-{number}" for number, (cause, _) in enumerate(sweep.by_cause(), 1)}


def _causes(sweep: SweepShown) -> Html:
    groups, anchors = sweep.by_cause(), _anchors(sweep)
    return el(
        "section",
        {"aria-labelledby": "causes"},
        el("h2", {"id": "causes"}, "Regressions and failures"),
        [_cause(cause, cells, anchors[cause], sweep.name) for cause, cells in groups]
        or el("p", {"class": "quiet"}, "Nothing."),
    )


def _cause(cause: str, cells: list[CellShown], anchor: str, sweep: str) -> Html:
    namespace, _, name = sweep.partition("/")
    regressed = sum(cell.regressed for cell in cells)
    models = len({cell.model for cell in cells})
    count = f"{len(cells)} {'cell' if len(cells) == 1 else 'cells'} of {models} {'model' if models == 1 else 'models'}"
    more = len(cells) - MOST_LISTED
    listed = sorted(cells, key=lambda cell: (not cell.regressed, cell.model, cell.column))[:MOST_LISTED]
    return el(
        "details",
        {"open": len(cells) <= 10},
        el("summary", None, el("b", None, cause), f": {count}", f", {regressed} regressed" if regressed else ""),
        # Inside, for a browser unfolds what a link leads into.
        el(
            "div",
            {"id": anchor},
            _accept(cause, name, namespace) if any(c.verdict for c in cells) else None,
            table(f"Cells that regressed or did not pass: {cause}", _HEADS, [_row(c, namespace) for c in listed]),
        ),
        el("p", {"class": "quiet"}, f"{more} more are in the map.") if more > 0 else None,
    )


def _accept(cause: str, name: str, namespace: str) -> Html:
    """How all cells of a cause are accepted at once."""
    words = ("assay", "baseline", "accept", "--sweep", name, "-n", namespace, "--cause", cause, "--why", "…")
    code = el("code", None, " ".join(map(shlex.quote, words)))
    return el("p", {"class": "quiet"}, "Where this is as it should be: ", code)


def _row(cell: CellShown, namespace: str) -> Html:
    verdict: Html | str = badge(cell.verdict) if cell.verdict else UNJUDGED
    tag = el("span", {"class": "tag"}, "regressed") if cell.regressed else None
    page = el("code", None, f"assay report {cell.audit} -n {namespace}") if cell.audit else "-"
    beside = f"{cell.state}: {cell.beside}" if cell.beside else cell.state or "-"
    image = cell.column.image or "-"
    cells = (cell.model, cell.column.candidate, image, [verdict, tag], cell.message, beside, page)
    return row(cells)


def _runs(sweep: SweepShown) -> Html:
    history = [run for run in sweep.status.get("history") or () if isinstance(run, Mapping)]
    heads = ("Run", "Ended", "Verdict", "Cells", "Unchanged", "Failed", "Regressed", "GPU hours")
    return el(
        "section",
        {"aria-labelledby": "runs"},
        el("h2", {"id": "runs"}, "Runs"),
        table("The last runs", heads, [_run(run) for run in history])
        if history
        else el("p", {"class": "quiet"}, "None has ended."),
    )


def _run(run: Mapping[str, Any]) -> Html:
    counts = run.get("counts") or {}
    verdict = run.get("verdict")
    cells = (
        str(run.get("name", "")),
        str(run.get("completionTime", "")),
        badge(Verdict(verdict)) if verdict in tuple(Verdict) else "-",
        *(str(counts.get(name, 0)) for name in ("cells", "unchanged", "failed", "regressed")),
        f"{(run.get('gpuSeconds') or 0) / 3600:.2f}",
    )
    return row(cells)
