"""The range of every tensor along the network, against what the candidate's format can hold.

What a format must hold is what golden holds: a tensor that overflowed shows only Inf in the candidate. So golden's
range is drawn where it was measured, and the candidate's own elsewhere.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from assay_api.report import CandidateReport, TensorEntry
from assay_runner.report.chart import ends, inside_fused
from assay_runner.report.drawing import WIDTH, buckets, drawing, plot, strokes
from assay_runner.report.figures import count, percent, plain
from assay_runner.report.formats import Format, format_of
from assay_runner.report.markup import Child, Html, code, el
from assay_runner.report.zones import Magnitudes, magnitudes, zoned

_BOX = 240.0


def range_chart(candidate: CandidateReport, identity: str) -> Html | None:
    """The figure, or None where no tensor's range was measured."""
    layers, format_ = candidate.layers, format_of(candidate)
    largest, smallest = [largest_of(each) for each in layers], [_measured(each.smallest) for each in layers]
    axis = magnitudes([v for v in (*largest, *smallest) if v is not None], format_)
    if axis is None:
        return None
    lost = [i for i, layer in enumerate(layers) if layer.overflow]
    drawn = drawing(
        [
            el("path", {"class": "broken", "d": strokes(lost, len(layers))}) if lost else None,
            el("path", {"class": "span", "d": _spans(largest, smallest, axis)}),
            el("path", {"class": "largest", "d": _edge(largest, axis)}),
        ]
    )
    labels = [(text, 1 - at) for text, at in axis.ticks()]
    return el(
        "figure",
        {"class": "chart range", "id": identity},
        el("figcaption", None, _caption(candidate, format_, largest), _keys(smallest, bool(lost), format_)),
        plot("magnitude, logarithmic", labels, zoned(drawn, format_, axis, upright=True), "magnitude"),
        ends(len(layers)),
    )


def _measured(smallest: float | None) -> float | None:
    """None in place of NaN, which is no magnitude."""
    return None if smallest is None or math.isnan(smallest) else smallest


def largest_of(layer: TensorEntry) -> float | None:
    """Largest finite magnitude of the tensor: golden's where it was measured."""
    for ends_ in ((layer.golden_min, layer.golden_max), (layer.min, layer.max)):
        given = [abs(v) for v in ends_ if v is not None and math.isfinite(v)]
        if given:
            return max(given)
    return None


def _columns(values: Sequence[float | None], choose: str) -> list[float | None]:
    pick = max if choose == "max" else min
    return [pick((v for i in column if (v := values[i])), default=None) for column in buckets(len(values))]


def _gap(columns: int) -> float:
    """Room beside a bar; among many bars there is none, or the gaps would be all one sees."""
    return 0.1 if columns <= 200 else 0.0


def _spans(largest: Sequence[float | None], smallest: Sequence[float | None], axis: Magnitudes) -> str:
    """A bar per column from the smallest to the largest magnitude in it."""
    tops, bottoms = _columns(largest, "max"), _columns(smallest, "min")
    width, gap, path = WIDTH / len(tops), _gap(len(tops)), []
    for index, (top, bottom) in enumerate(zip(tops, bottoms, strict=True)):
        if top is not None and bottom is not None:
            a, b = _BOX * (1 - axis.place(top)), _BOX * (1 - axis.place(bottom))
            left, wide = (index + gap) * width, width * (1 - 2 * gap)
            path.append(f"M{left:.1f} {a:.1f}h{wide:.1f}V{b:.1f}h{-wide:.1f}z")
    return "".join(path)


def _edge(largest: Sequence[float | None], axis: Magnitudes) -> str:
    """A stroke at the largest magnitude of each column."""
    tops = _columns(largest, "max")
    width, gap = WIDTH / len(tops), _gap(len(tops))
    return "".join(
        f"M{(i + gap) * width:.1f} {_BOX * (1 - axis.place(top)):.1f}h{width * (1 - 2 * gap):.1f}"
        for i, top in enumerate(tops)
        if top is not None
    )


def _keys(smallest: Sequence[float | None], lost: bool, format_: Format | None) -> Html:
    entries = [("largest", "largest magnitude")]
    if any(smallest):
        entries.append(("span", "down to the smallest other than zero"))
    if lost:
        entries.append(("broken", "values overflow"))
    if format_ is not None and format_.narrow:
        entries += [("hatched", "lost: Inf above, zero below"), ("dotted", "subnormal: fewer bits")]
    return el("ul", {"class": "keys"}, [el("li", {"class": kind}, text) for kind, text in entries])


def _caption(candidate: CandidateReport, format_: Format | None, largest: Sequence[float | None]) -> Html:
    layers = candidate.layers
    top = max((i for i, v in enumerate(largest) if v is not None), key=lambda i: largest[i] or 0.0)
    value = largest[top] or 0.0
    said: list[Child] = [f"The largest magnitude is {plain(value)}, in ", code(layers[top].name)]
    if format_ is None:
        why = "INT8 takes a scale per tensor, so no one limit holds for all" if candidate.precision == "int8" else ""
        return el("p", None, said, f". {why}." if why else ".", _hidden(candidate.fused))
    share = value / format_.largest
    held = f"{percent(share, 1)} of" if share >= 0.001 else "far below"
    said.append(f": {'beyond' if share > 1 else held} {format_.name}'s largest value, {plain(format_.largest, 5)}. ")
    beyond = sum(v > format_.largest for v in largest if v is not None)
    if beyond:
        said.append(f"{beyond} of {len(layers)} tensors {'reaches' if beyond == 1 else 'reach'} beyond it. ")
    return el("p", None, said, _counted(layers), _hidden(candidate.fused))


def _hidden(fused: int) -> str:
    """That what lies inside fused layers is not drawn, and where it is judged."""
    if not fused:
        return ""
    which = "is not drawn: fp16Range judges it too" if fused == 1 else "are not drawn: fp16Range judges them too"
    return f" {inside_fused(fused)}, and {which}."


def _counted(layers: Sequence[TensorEntry]) -> str:
    """What was counted over the whole dataset, where it was."""
    counts = (
        ([layer.overflow for layer in layers], "overflow"),
        ([layer.underflow for layer in layers], "become zero"),
        ([layer.subnormal for layer in layers], "are subnormal"),
    )
    told = []
    for given, what in counts:
        measured = [n for n in given if n is not None]
        if measured:
            total, tensors = sum(measured), sum(n > 0 for n in measured)
            where = f" in {tensors} {'tensor' if tensors == 1 else 'tensors'}" if total else ""
            told.append(f"{count(total) if total else 'none'} {what}{where}")
    return f"Of all elements of the dataset: {', '.join(told)}." if told else ""
