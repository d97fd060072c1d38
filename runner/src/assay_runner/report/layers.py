"""Every tensor's error, worst first: the table that names where it goes wrong.

A page without scripts shows the worst few; with scripts the same table pages, sorts and filters all of them from the
report that the page carries.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from assay_api.model import wire_name
from assay_api.report import TensorEntry
from assay_runner.report.figures import percent, plain, rounded
from assay_runner.report.markup import Child, Html, code, el

WORST = 15
"""Rows of the table before scripts take over."""


@dataclass(frozen=True)
class Column:
    """One measured column.

    Attributes:
        field: the field of `TensorEntry` that it shows.
        heading: its heading.
        kind: "share", "dB", "range", "count" of what must not be there, or "" for a number.
    """

    field: str
    heading: str
    kind: str = ""

    @property
    def key(self) -> str:
        """The field's name in report.json, by which the scripts know the column.

        Raises:
            KeyError: `TensorEntry` has no such field.
        """
        return wire_name(TensorEntry, self.field)

    def value(self, layer: TensorEntry) -> float | None:
        """What was measured of a tensor."""
        found: float | None = getattr(layer, self.field)
        return found


COLUMNS = (
    Column("starts_here", "Own share", "share"),
    Column("local_snr", "Local SNR", "dB"),
    Column("accumulated_snr", "Accumulated SNR", "dB"),
    Column("local_rms", "Local RMS"),
    Column("accumulated_rms", "Accumulated RMS"),
    Column("min", "Min", "range"),
    Column("max", "Max", "range"),
    Column("smallest", "Smallest", "range"),
    Column("non_finite", "NaN or Inf", "count"),
    Column("overflow", "Overflow", "count"),
    Column("underflow", "To zero"),
    Column("subnormal", "Subnormal"),
)


def columns_of(layers: Sequence[TensorEntry]) -> list[Column]:
    """The columns of which anything was measured."""
    # There may be thousands, and most columns have nothing or something in the first.
    values = [vars(layer) for layer in layers]
    return [column for column in COLUMNS if any(value[column.field] is not None for value in values)]


def worst_first(layers: Sequence[TensorEntry]) -> list[int]:
    """Positions of the layers: NaN or Inf first by depth, then by the noise of the node itself, then by all noise."""

    def key(index: int) -> tuple[bool, float, float, int]:
        layer = layers[index]
        if layer.non_finite:
            return (False, 0.0, 0.0, index)
        return (True, _noise(layer.local_snr), _noise(layer.accumulated_snr), index)

    return sorted(range(len(layers)), key=key)


def _noise(snr: float | None) -> float:
    """An SNR to sort by: NaN is the worst there is, what was not measured comes last."""
    return math.inf if snr is None else -math.inf if math.isnan(snr) else snr


def tensors_table(layers: Sequence[TensorEntry]) -> Html:
    """The worst tensors; scripts replace the rows by pages of all of them."""
    columns = columns_of(layers)
    order = worst_first(layers)[:WORST]
    shown = (
        f"The {len(order)} worst of {len(layers)} tensors" if len(layers) > len(order) else f"All {len(layers)} tensors"
    )
    heads = [_head("Depth", "index", numeric=True), _head("Tensor", wire_name(TensorEntry, "name"))]
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


def _row(layer: TensorEntry, index: int, columns: Sequence[Column]) -> Html:
    made = " · ".join(filter(None, (layer.op, layer.node)))
    name = el("th", {"scope": "row"}, code(layer.name), el("small", None, made) if made else None)
    cells = [el("td", {"class": "n"}, _cell(column.value(layer), column.kind)) for column in columns]
    return el("tr", None, el("td", {"class": "n"}, str(index + 1)), name, cells)


def _cell(value: float | None, kind: str) -> Child:
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
