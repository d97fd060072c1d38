"""What the engine is made of: the precision every layer really ran in, how it was built, what the builder warned of."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from assay_api.entries import EngineTensorEntry
from assay_api.model import wire_name
from assay_api.report import CandidateReport, EngineEntry, EngineLayerEntry
from assay_runner.report.drawing import percent_of
from assay_runner.report.figures import moment, percent
from assay_runner.report.layers import WORST
from assay_runner.report.markup import Child, Html, code, el, facts
from assay_runner.report.values import cell
from assay_runner.report.wording import shortened

_NO_TACTIC = re.compile("0x0*")


@dataclass(frozen=True)
class Column:
    """A column of the table of layers.

    Attributes:
        field: the field of `EngineLayerEntry` that it shows.
        heading: its heading.
        text: what a cell of it says.
        many: whether it lists several tensors or nodes.
        long: whether its texts may be long.
    """

    field: str
    heading: str
    text: Callable[[EngineLayerEntry], str]
    many: bool = False
    long: bool = False

    @property
    def key(self) -> str:
        """The field's name in report.json, by which the scripts know the column.

        Raises:
            KeyError: `EngineLayerEntry` has no such field.
        """
        return wire_name(EngineLayerEntry, self.field)


COLUMNS = (
    Column("name", "Layer", lambda layer: layer.name),
    Column("type", "Type", lambda layer: layer.type),
    Column("precision", "Precision", lambda layer: layer.precision),
    Column("inputs", "Inputs", lambda layer: ", ".join(map(_tensor, layer.inputs)), many=True, long=True),
    Column("outputs", "Outputs", lambda layer: ", ".join(map(_tensor, layer.outputs)), many=True, long=True),
    Column("tactic", "Tactic", lambda layer: "" if _NO_TACTIC.fullmatch(layer.tactic) else layer.tactic, long=True),
    Column("nodes", "ONNX nodes", lambda layer: ", ".join(layer.nodes), many=True, long=True),
)

_LABELS = {
    "tensorrt": "TensorRT",
    "gpu": "GPU",
    "compute_capability": "Compute capability",
    "driver_cuda": "CUDA of the driver",
    "verbosity": "Profiling verbosity",
    "taken": "Taken",
    "typing": "Typing",
    "flags": "Builder flags",
    "tf32": "TF32 allowed",
    "plugins": "Plugins",
    "build_seconds": "Build, seconds",
    "built": "Built",
    "cached": "From cache",
}
"""The fields of `EngineEntry` that are shown as facts, and what they are called; its warnings are told apart."""
_FOLDED = 5
"""Warnings that are shown without being asked for."""
_WARNINGS = 200


def engine_parts(candidate: CandidateReport, *, whole: bool) -> list[Child]:
    """Achieved precision, facts, warnings and layers of the engine; empty where nothing of it is known.

    Args:
        candidate: the candidate.
        whole: whether the table of layers is shown.
    """
    known = [(label, value) for field, label in _LABELS.items() if (value := fact(candidate.engine, field))]
    warnings = candidate.engine.warnings
    parts: list[Child] = []
    if candidate.achieved:
        parts.append(_achieved(candidate))
    if known:
        parts.append(facts(known))
    if warnings:
        parts.append(_warnings(warnings))
    if whole and candidate.engine_layers:
        parts.append(_layers(candidate.engine_layers))
    return parts


def fact(engine: EngineEntry, field: str) -> Html | None:
    """A field as a person reads it, None where it is absent; times of day as in the rest of the page."""
    value: Any = getattr(engine, field)
    return None if value is None else cell(moment(value) if field == "built" else value)


def machines(candidates: Sequence[CandidateReport]) -> dict[str, str]:
    """GPU, TensorRT and driver of the engines that ran, different ones beside each other."""
    ran = [candidate.engine for candidate in candidates if not candidate.emulated]
    found: dict[str, str] = {}
    for field in ("gpu", "tensorrt", "compute_capability", "driver_cuda"):
        values = dict.fromkeys(filter(None, (getattr(engine, field) for engine in ran)))
        if values:
            found[_LABELS[field]] = " | ".join(values)
    return found


def achieved_text(candidate: CandidateReport) -> str:
    """Layers by precision in a few words, most first, for example "40 FP16, 3 FP32"."""
    ordered = sorted(candidate.achieved.items(), key=lambda item: -item[1])
    return ", ".join(f"{count} {name}" for name, count in ordered)


def _achieved(candidate: CandidateReport) -> Html:
    total = sum(candidate.achieved.values())
    rows = []
    for name, count in sorted(candidate.achieved.items(), key=lambda item: -item[1]):
        share = count / total if total else 0.0
        box = {"width": percent_of(min(max(share, 0.0), 1.0)), "height": "100%"}
        bar = el("svg", {"class": "bar", "aria-hidden": "true"}, el("rect", box))
        cells = [el("td", {"class": "n"}, f"{count:,}"), el("td", {"class": "n"}, percent(share, 1))]
        rows.append(el("tr", None, el("th", {"scope": "row"}, name), cells, el("td", {"class": "bars"}, bar)))
    heads = [el("th", {"scope": "col", "class": "n" if i in (1, 2) else None}, h) for i, h in enumerate(_HEADS)]
    asked = f"; {candidate.precision} was asked for" if candidate.precision else ""
    return el(
        "table",
        {"class": "achieved"},
        el("caption", None, f"Precision the engine's layers ran in{asked}"),
        el("thead", None, el("tr", None, heads)),
        el("tbody", None, rows),
    )


_HEADS = ("Precision", "Layers", "Share", "Of all layers")


def _warnings(warnings: Sequence[str]) -> Html:
    items = [el("li", None, warning) for warning in warnings[:_WARNINGS]]
    if len(warnings) > _WARNINGS:
        items.append(el("li", None, f"{len(warnings) - _WARNINGS} more are in report.json"))
    count = f"{len(warnings)} {'warning' if len(warnings) == 1 else 'warnings'} of the builder"
    return el(
        "details",
        {"open": len(warnings) <= _FOLDED},
        el("summary", None, count),
        el("ul", {"class": "notes"}, items),
    )


def _layers(layers: Sequence[EngineLayerEntry]) -> Html:
    """The first layers; scripts replace them by pages of all."""
    shown = layers[:WORST]
    used = [column for column in COLUMNS if any(map(column.text, layers))]
    rows = []
    for index, layer in enumerate(shown):
        cells = [_cell(column, column.text(layer)) for column in used]
        rows.append(el("tr", None, el("td", {"class": "n"}, str(index + 1)), cells))
    heads = [el("th", {"scope": "col", "data-key": "index", "class": "n"}, "Order")]
    heads += [el("th", {"scope": "col", "data-key": column.key}, column.heading) for column in used]
    which = (
        f"The first {len(shown)} of {len(layers)} layers" if len(layers) > len(shown) else f"All {len(layers)} layers"
    )
    table = el(
        "table",
        {"class": "engine-layers"},
        el("caption", None, f"{which}, in the order they run"),
        el("thead", None, el("tr", None, heads)),
        el("tbody", None, rows),
    )
    region = {"class": "scroll", "tabindex": "0", "role": "region", "aria-label": "Layers of the engine"}
    return el("div", {"class": "layers-view"}, el("div", region, table))


def _cell(column: Column, text: str) -> Html:
    if column.field == "name":
        return el("th", {"scope": "row"}, code(text))
    shown = listed(text) if column.many else shortened(text)
    return el("td", {"class": "long" if column.long else None, "title": text if shown != text else None}, shown)


def listed(text: str) -> str:
    """The first of many tensors or nodes, each shortened by itself; scripts do the same."""
    items = text.split(", ")
    more = f" and {len(items) - _ITEMS} more" if len(items) > _ITEMS else ""
    return ", ".join(shortened(item, _ITEM) for item in items[:_ITEMS]) + more


_ITEMS, _ITEM = 4, 48


def _tensor(entry: EngineTensorEntry) -> str:
    """A tensor of a layer, for example "x: FP16 linear 1×3×224×224"."""
    kind = " ".join(filter(None, (entry.format, "×".join(map(str, entry.shape)))))
    return f"{entry.name}: {kind}" if entry.name and kind else entry.name or kind
