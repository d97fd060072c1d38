"""What scripts need of a report: the tensors of each candidate and the layers of its engine, column by column.

Candidates of one model have the same tensors, so their names stand on the page once. Numbers have the digits that the
page shows. A summary of many candidates carries what fits, the worst candidates first; each candidate's own page
carries all of its own.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypedDict

from typing_extensions import NotRequired

from assay_api.report import CandidateReport, Report
from assay_runner.report.engine import COLUMNS as ENGINE_COLUMNS
from assay_runner.report.figures import rounded
from assay_runner.report.layers import columns_of
from assay_runner.report.ranges import largest_of
from assay_runner.report.wording import SEVERITY, candidate_verdict

ROWS = 60_000
"""Tensors that a page carries, over all its candidates."""

Figure = int | float | str | None
"""A number of few digits; a non-finite one as the string that report.json has."""


class Words(TypedDict):
    """A column of texts most of which repeat: each different one once, and where it stands."""

    words: list[str]
    at: list[int]


Texts = list[str] | Words


class Network(TypedDict):
    """The tensors of one network, column by column."""

    name: Texts
    op: Texts
    node: Texts


class Carried(TypedDict):
    """One candidate: the place of its network, None where its tensors are not carried, and what was measured.

    `tensors` is by column of a `TensorEntry`, and LARGEST; `engine` by column of an `EngineLayerEntry`.
    """

    name: str
    network: int | None
    tensors: NotRequired[dict[str, list[Figure]]]
    engine: NotRequired[dict[str, Texts]]


class PageData(TypedDict):
    """What a page carries: every different network once, and the candidates in the report's order."""

    networks: list[Network]
    candidates: list[Carried]


LARGEST = "largest"
"""Column of the largest magnitudes, which the report has as two ends of a range."""


def embedded(report: Report, *, whole: bool) -> PageData:
    """The page's data.

    Args:
        report: the report.
        whole: whether the page shows everything of its candidates, their engines' layers too.
    """
    carried = carries(report)
    networks: dict[tuple[tuple[str, ...], ...], int] = {}
    candidates: list[Carried] = []
    for index, candidate in enumerate(report.candidates):
        entry: Carried = {"name": candidate.name, "network": None}
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


def _network(candidate: CandidateReport) -> tuple[tuple[str, ...], ...]:
    layers = candidate.layers
    return (
        tuple(layer.name for layer in layers),
        tuple(layer.op or "" for layer in layers),
        tuple(layer.node or "" for layer in layers),
    )


def _tensors(candidate: CandidateReport) -> dict[str, list[Figure]]:
    columns = {
        column.key: [_short(column.value(layer)) for layer in candidate.layers]
        for column in columns_of(candidate.layers)
    }
    return columns | {LARGEST: [_short(largest_of(layer)) for layer in candidate.layers]}


def _engine(candidate: CandidateReport) -> dict[str, Texts]:
    columns = {column.key: list(map(column.text, candidate.engine_layers)) for column in ENGINE_COLUMNS}
    return {key: _texts(values) for key, values in columns.items() if any(values)}


def _texts(values: Sequence[str]) -> Texts:
    """A list of texts; where most repeat, each different one once, and where it stands."""
    words = {text: place for place, text in enumerate(dict.fromkeys(values))}
    if len(words) * 2 > len(values):
        return list(values)
    return {"words": list(words), "at": [words[text] for text in values]}


def _short(value: float | None) -> Figure:
    if value is None:
        return None
    given = rounded(value)
    if given is None:
        return None
    if not math.isfinite(given):
        return "NaN" if math.isnan(given) else "Infinity" if given > 0 else "-Infinity"
    return int(given) if given == int(given) and abs(given) < 1e15 else given
