"""Every tensor's error, worst first: the table that names where it goes wrong.

A page without scripts shows the worst few; with scripts the same table pages, sorts and filters all of them from the
report that the page carries.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from assay_runner.report.figures import number, percent, plain, rounded
from assay_runner.report.markup import Child, Html, code, el

Layer = Mapping[str, Any]
WORST = 15
"""Rows of the table before scripts take over."""


@dataclass(frozen=True)
class Column:
    """One measured column.

    Attributes:
        key: its key in a layer.
        heading: its heading.
        kind: "share", "dB", "range", "count" of what must not be there, or "" for a number.
    """

    key: str
    heading: str
    kind: str = ""


COLUMNS = (
    Column("startsHere", "Own share", "share"),
    Column("localSnr", "Local SNR", "dB"),
    Column("accumulatedSnr", "Accumulated SNR", "dB"),
    Column("localRms", "Local RMS"),
    Column("accumulatedRms", "Accumulated RMS"),
    Column("min", "Min", "range"),
    Column("max", "Max", "range"),
    Column("smallest", "Smallest", "range"),
    Column("nonFinite", "NaN or Inf", "count"),
    Column("overflow", "Overflow", "count"),
    Column("underflow", "To zero"),
    Column("subnormal", "Subnormal"),
)


def name_of(layer: Layer) -> str:
    """The tensor's name."""
    return str(layer.get("name", "unnamed"))


def non_finite(layer: Layer) -> float:
    """Samples in which the tensor holds NaN or Inf."""
    return number(layer.get("nonFinite")) or 0.0


def columns_of(layers: Iterable[Layer]) -> list[Column]:
    """The columns of which anything was measured."""
    measured = {key for layer in layers for key, value in layer.items() if number(value) is not None}
    return [column for column in COLUMNS if column.key in measured]


def worst_first(layers: Sequence[Layer]) -> list[int]:
    """Positions of the layers: NaN or Inf first by depth, then by the noise of the node itself, then by all noise."""

    def key(index: int) -> tuple[bool, float, float, int]:
        layer = layers[index]
        if non_finite(layer):
            return (False, 0.0, 0.0, index)
        return (True, _noise(layer.get("localSnr")), _noise(layer.get("accumulatedSnr")), index)

    return sorted(range(len(layers)), key=key)


def _noise(snr: Any) -> float:
    """An SNR to sort by: NaN is the worst there is, what was not measured comes last."""
    given = number(snr)
    return math.inf if given is None else -math.inf if math.isnan(given) else given


def tensors_table(layers: Sequence[Layer]) -> Html:
    """The worst tensors; scripts replace the rows by pages of all of them."""
    columns = columns_of(layers)
    order = worst_first(layers)[:WORST]
    shown = (
        f"The {len(order)} worst of {len(layers)} tensors" if len(layers) > len(order) else f"All {len(layers)} tensors"
    )
    heads = [_head("Depth", "index", numeric=True), _head("Tensor", "name")]
    heads += [_head(column.heading, column.key, numeric=True) for column in columns]
    table = el(
        "table",
        {"class": "tensors"},
        el("caption", None, f"{shown}, worst first"),
        el("thead", None, el("tr", None, heads)),
        el("tbody", None, [_row(layers[i], i, columns) for i in order]),
    )
    region = {"class": "scroll", "tabindex": "0", "role": "region", "aria-label": "Tensors"}
    return el("div", {"class": "tensors-view"}, el("div", region, table))


def _head(heading: str, key: str, *, numeric: bool = False) -> Html:
    return el("th", {"scope": "col", "data-key": key, "class": "n" if numeric else None}, heading)


def _row(layer: Layer, index: int, columns: Sequence[Column]) -> Html:
    made = " · ".join(str(layer[key]) for key in ("op", "node") if layer.get(key))
    name = el("th", {"scope": "row"}, code(name_of(layer)), el("small", None, made) if made else None)
    cells = [el("td", {"class": "n"}, _cell(layer.get(column.key), column.kind)) for column in columns]
    return el("tr", None, el("td", {"class": "n"}, str(index + 1)), name, cells)


def _cell(value: Any, kind: str) -> Child:
    given = rounded(value)
    if given is None or (kind == "range" and not math.isfinite(given)):
        return "–"
    if kind == "share":
        return percent(given, 1)
    if kind == "dB" and math.isfinite(given):
        return f"{given:.1f} dB"
    if kind == "count" and given > 0:
        return el("strong", {"class": "beyond"}, f"✘ {plain(given)}")
    return plain(given, 3)
