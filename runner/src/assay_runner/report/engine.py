"""What the engine is made of: the precision every layer really ran in, how it was built, what the builder warned of."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from assay_api.report import CandidateReport
from assay_runner.report.drawing import percent_of
from assay_runner.report.figures import moment, number, percent, plain
from assay_runner.report.layers import WORST
from assay_runner.report.markup import Child, Html, code, el, facts
from assay_runner.report.values import cell
from assay_runner.report.wording import shortened

COLUMNS = (
    ("name", "Layer"),
    ("type", "Type"),
    ("precision", "Precision"),
    ("inputs", "Inputs"),
    ("outputs", "Outputs"),
    ("tactic", "Tactic"),
    ("nodes", "ONNX nodes"),
)
"""Key and heading of each column of the table of layers."""

_LABELS = {
    "tensorrt": "TensorRT",
    "gpu": "GPU",
    "computeCapability": "Compute capability",
    "driver": "Driver",
    "driverCuda": "CUDA of the driver",
    "cuda": "CUDA",
    "buildSeconds": "Build, seconds",
    "built": "Built",
    "flags": "Builder flags",
    "optimisationLevel": "Optimisation level",
    "cached": "From cache",
    "typing": "Typing",
    "verbosity": "Profiling verbosity",
}
_NO_TACTIC = re.compile("0x0*")
_FOLDED = 5
"""Warnings that are shown without being asked for."""
_WARNINGS = 200


def engine_parts(candidate: CandidateReport, *, whole: bool) -> list[Child]:
    """Achieved precision, facts, warnings and layers of the engine; empty where nothing of it is known.

    Args:
        candidate: the candidate.
        whole: whether the table of layers is shown.
    """
    known = {str(key): value for key, value in candidate.engine.items() if value is not None}
    warnings = known.pop("warnings", None)
    parts: list[Child] = []
    if candidate.achieved:
        parts.append(_achieved(candidate))
    if known:
        parts.append(facts((_LABELS.get(key, key), fact(key, value)) for key, value in known.items()))
    if isinstance(warnings, list | tuple) and warnings:
        parts.append(_warnings(warnings))
    if whole and candidate.engine_layers:
        parts.append(_layers(candidate.engine_layers))
    return parts


def fact(key: str, value: Any) -> Html:
    """A value as a person reads it; times of day as in the rest of the page."""
    return cell(moment(value) if key == "built" and isinstance(value, str) else value)


def machines(candidates: Sequence[CandidateReport]) -> dict[str, str]:
    """GPU, TensorRT and driver of the engines that ran, different ones beside each other."""
    ran = [candidate.engine for candidate in candidates if not candidate.emulated]
    found: dict[str, str] = {}
    for key in ("gpu", "tensorrt", "computeCapability", "driver", "driverCuda", "cuda"):
        values = dict.fromkeys(str(engine[key]) for engine in ran if engine.get(key) is not None)
        if values:
            found[_LABELS[key]] = " | ".join(values)
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


def _warnings(warnings: Sequence[Any]) -> Html:
    items = [el("li", None, str(warning)) for warning in warnings[:_WARNINGS]]
    if len(warnings) > _WARNINGS:
        items.append(el("li", None, f"{len(warnings) - _WARNINGS} more are in report.json"))
    count = f"{len(warnings)} {'warning' if len(warnings) == 1 else 'warnings'} of the builder"
    return el(
        "details",
        {"open": len(warnings) <= _FOLDED},
        el("summary", None, count),
        el("ul", {"class": "notes"}, items),
    )


def _layers(layers: Sequence[Mapping[str, Any]]) -> Html:
    """The first layers; scripts replace them by pages of all."""
    shown = [{key: layer_text(layer, key) for key, _ in COLUMNS} for layer in layers[:WORST]]
    used = [(key, head) for key, head in COLUMNS if any(layer_text(layer, key) for layer in layers)]
    rows = []
    for index, texts in enumerate(shown):
        cells = [_cell(key, texts[key]) for key, _ in used]
        rows.append(el("tr", None, el("td", {"class": "n"}, str(index + 1)), cells))
    heads = [el("th", {"scope": "col", "data-key": "index", "class": "n"}, "Order")]
    heads += [el("th", {"scope": "col", "data-key": key}, head) for key, head in used]
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


def _cell(key: str, text: str) -> Html:
    if key == "name":
        return el("th", {"scope": "row"}, code(text))
    shown = listed(text) if key in _LISTS else shortened(text)
    return el("td", {"class": "long" if key in _LONG else None, "title": text if shown != text else None}, shown)


def listed(text: str) -> str:
    """The first of many tensors or nodes, each shortened by itself; scripts do the same."""
    items = text.split(", ")
    more = f" and {len(items) - _ITEMS} more" if len(items) > _ITEMS else ""
    return ", ".join(shortened(item, _ITEM) for item in items[:_ITEMS]) + more


_LISTS = ("inputs", "outputs", "nodes")
_LONG = (*_LISTS, "tactic")
_ITEMS, _ITEM = 4, 48


def layer_text(layer: Mapping[str, Any], key: str) -> str:
    """What a cell of the table of layers says."""
    value = layer.get(key)
    if value is None:
        return "unnamed" if key == "name" else ""
    if isinstance(value, list | tuple):
        return ", ".join(_tensor(item) if isinstance(item, Mapping) else str(item) for item in value)
    if key == "tactic" and _NO_TACTIC.fullmatch(str(value)):
        return ""
    return str(value)


def _tensor(entry: Mapping[str, Any]) -> str:
    """A tensor of a layer, for example "x: FP16 linear 1×3×224×224"."""
    shape = entry.get("shape")
    given = shape if isinstance(shape, list | tuple) else ()
    sides = "×".join(plain(side) if number(side) is not None else str(side) for side in given)
    kind = " ".join(part for part in (str(entry.get("format") or ""), sides) if part)
    name = str(entry.get("name") or "")
    return f"{name}: {kind}" if name and kind else name or kind
