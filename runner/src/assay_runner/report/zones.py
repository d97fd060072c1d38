"""Where a format ends, marked on a chart of magnitudes: hatched where values are lost, dotted where only bits are."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from assay_runner.report.drawing import percent_of
from assay_runner.report.figures import plain
from assay_runner.report.formats import Format
from assay_runner.report.markup import Html, el

PATTERNS = el(
    "svg",
    {"class": "unseen", "aria-hidden": "true", "focusable": "false"},
    el(
        "defs",
        None,
        el(
            "pattern",
            {"id": "hatch", "width": 8, "height": 8, "patternUnits": "userSpaceOnUse"},
            el("path", {"class": "hatch", "d": "M-1 1l2-2M0 8l8-8M7 9l2-2"}),
        ),
        el(
            "pattern",
            {"id": "dots", "width": 7, "height": 7, "patternUnits": "userSpaceOnUse"},
            el("circle", {"class": "dot", "cx": 2, "cy": 2, "r": 1}),
        ),
    ),
)
"""Once per page, before the charts that fill their zones with them."""


@dataclass(frozen=True)
class Magnitudes:
    """An axis of magnitudes, in powers of two.

    Attributes:
        low: power at its lower end.
        high: power at its upper end.
    """

    low: float
    high: float

    def place(self, value: float) -> float:
        """0 at the lower end, 1 at the upper; what lies beyond lies on the end."""
        if value <= 0:
            return 0.0
        return min(max((math.log2(value) - self.low) / (self.high - self.low), 0.0), 1.0)

    def ticks(self, most: int = 7) -> list[tuple[str, float]]:
        """Label and place of round powers of ten."""
        first, last = math.ceil(self.low * math.log10(2)), math.floor(self.high * math.log10(2))
        step = max(1, math.ceil((last - first + 1) / most))
        powers = [p for p in range(first, last + 1) if p % step == 0]
        return [(plain(10.0**p), self.place(10.0**p)) for p in powers]


def magnitudes(values: Iterable[float], format_: Format | None) -> Magnitudes | None:
    """The axis that holds the values, and the format's limits where it is narrow; None where there is nothing."""
    powers = [math.log2(v) for v in values if v > 0 and math.isfinite(v)]
    if not powers:
        return None
    if format_ is not None and format_.narrow:
        powers += [math.log2(format_.subnormal) - 2, math.log2(format_.largest) + 2]
    return Magnitudes(math.floor(min(powers)), math.floor(max(powers)) + 1)


def zoned(drawn: Html, format_: Format | None, axis: Magnitudes, *, upright: bool) -> list[Html]:
    """A drawing between the regions that lie beyond the format's limits, below it, and the limits, above it.

    Args:
        drawn: the drawing.
        format_: the format, or None.
        axis: the chart's axis of magnitudes.
        upright: whether the axis runs upwards; else it runs to the right.
    """
    if format_ is None:
        return [drawn]
    top, normal, least = (axis.place(value) for value, _ in format_.limits)
    regions = [(top, 1.0, "url(#hatch)"), (least, normal, "url(#dots)"), (0.0, least, "url(#hatch)")]
    beyond = [_region(a, b, fill, upright) for a, b, fill in regions if b - a > 1e-9]
    limits = [
        _limit(at, text, row, upright)
        for row, (value, text) in enumerate(format_.limits)
        if 0 < (at := axis.place(value)) < 1
    ]
    layer = {"class": "zones", "aria-hidden": "true"}
    return [el("svg", layer, beyond), drawn, el("svg", layer, limits)]


def _region(start: float, end: float, fill: str, upright: bool) -> Html:
    if upright:
        box = {"x": "0", "width": "100%", "y": percent_of(1 - end), "height": percent_of(end - start)}
    else:
        box = {"y": "0", "height": "100%", "x": percent_of(start), "width": percent_of(end - start)}
    return el("rect", {**box, "fill": fill})


def _limit(at: float, text: str, row: int, upright: bool) -> list[Html]:
    """Line and label; side by side, labels stand in rows of their own, for they are wider than a phone's zones."""
    if upright:
        y = percent_of(1 - at)
        label = {"x": "100%", "y": y, "dx": "-6", "dy": "-5", "text-anchor": "end"}
        return [el("line", {"x1": "0", "x2": "100%", "y1": y, "y2": y}), el("text", label, text)]
    x = percent_of(at)
    anchor = ("-5", "end") if at > 0.5 else ("5", "start")
    label = {"x": x, "y": "0", "dy": f"{13 + 15 * row}", "dx": anchor[0], "text-anchor": anchor[1]}
    return [el("line", {"y1": "0", "y2": "100%", "x1": x, "x2": x}), el("text", label, text)]
