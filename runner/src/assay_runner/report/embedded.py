"""What scripts need of a report: the tensors of each candidate and the layers of its engine, column by column.

Candidates of one model have the same tensors, so their names stand on the page once. Numbers have the digits that the
page shows. A summary of many candidates carries what fits, the worst candidates first; each candidate's own page
carries all of its own.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from assay_api.report import CandidateReport, Report
from assay_runner.report.engine import COLUMNS as ENGINE_COLUMNS
from assay_runner.report.engine import layer_text
from assay_runner.report.figures import rounded
from assay_runner.report.layers import columns_of, name_of
from assay_runner.report.ranges import largest_of
from assay_runner.report.wording import SEVERITY, candidate_verdict

ROWS = 60_000
"""Tensors that a page carries, over all its candidates."""

Columns = dict[str, Any]


def embedded(report: Report, *, whole: bool) -> dict[str, Any]:
    """The page's data.

    Args:
        report: the report.
        whole: whether the page shows everything of its candidates, their engines' layers too.

    Returns:
        `networks`: name, op and node of each tensor, per different network; `candidates`: per candidate its name, the
        `network` (None where its tensors are not carried), `tensors` by column and `engine` by column.
    """
    carried = carries(report)
    networks: dict[tuple[Any, ...], int] = {}
    candidates = []
    for index, candidate in enumerate(report.candidates):
        entry: dict[str, Any] = {"name": candidate.name, "network": None}
        if index in carried and candidate.layers:
            entry["network"] = networks.setdefault(_network(candidate), len(networks))
            entry["tensors"] = _tensors(candidate)
        if whole and candidate.engine_layers:
            entry["engine"] = _engine(candidate)
        candidates.append(entry)
    return {
        "networks": [{"name": _texts(n), "op": _texts(o), "node": _texts(d)} for n, o, d in networks],
        "candidates": candidates,
    }


def carries(report: Report) -> set[int]:
    """Positions of the candidates whose tensors the page carries: the worst first, as far as there is room."""
    room = ROWS
    carried: set[int] = set()
    order = sorted(
        range(len(report.candidates)), key=lambda i: SEVERITY[candidate_verdict(report, report.candidates[i])]
    )
    for index in order:
        count = len(report.candidates[index].layers)
        if count <= room or not carried:
            room -= count
            carried.add(index)
    return carried


def _network(candidate: CandidateReport) -> tuple[Any, ...]:
    layers = candidate.layers
    return (
        tuple(map(name_of, layers)),
        tuple(str(layer.get("op") or "") for layer in layers),
        tuple(str(layer.get("node") or "") for layer in layers),
    )


def _tensors(candidate: CandidateReport) -> Columns:
    columns: Columns = {
        column.key: [_short(layer.get(column.key)) for layer in candidate.layers]
        for column in columns_of(candidate.layers)
    }
    return columns | {"largest": [_short(largest_of(layer)) for layer in candidate.layers]}


def _engine(candidate: CandidateReport) -> Columns:
    columns = {key: [layer_text(layer, key) for layer in candidate.engine_layers] for key, _ in ENGINE_COLUMNS}
    return {key: _texts(values) for key, values in columns.items() if any(values)}


def _texts(values: Sequence[str]) -> Any:
    """A list of texts; where most repeat, each different one once, and where it stands."""
    words = {text: place for place, text in enumerate(dict.fromkeys(values))}
    if len(words) * 2 > len(values):
        return list(values)
    return {"words": list(words), "at": [words[text] for text in values]}


def _short(value: Any) -> int | float | str | None:
    """A number of few digits; non-finite ones as the strings that report.json has."""
    given = rounded(value)
    if given is None:
        return None
    if not math.isfinite(given):
        return str(json_values(given))
    return int(given) if given == int(given) and abs(given) < 1e15 else given


def json_values(value: Any) -> Any:
    """Any value as JSON has it: non-finite numbers as strings, what JSON does not know as text."""
    if isinstance(value, float):
        if math.isfinite(value):
            return value
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, dict):
        return {str(key): json_values(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [json_values(item) for item in value]
    return value if value is None or isinstance(value, bool | int | str) else str(value)
