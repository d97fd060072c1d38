"""Lines and bars of the page's charts, drawn once on the server as SVG: they print, and need no script.

A drawing is stretched to its box, so lines keep their width, and labels stand in SVG of their own, placed by per cent.
A network of 5,000 tensors is drawn as the envelope of its columns: at a thousand columns nothing is lost that a screen
could show, and the page does not grow with the network.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import groupby, pairwise
from typing import Literal

from assay_runner.report.markup import Child, Html, el

WIDTH, HEIGHT = 1000.0, 240.0
COLUMNS = 1000
_TICKS = 5
_FINE = tuple(s * unit for unit in (1e-4, 1e-3, 1e-2, 0.1) for s in (1.0, 2.0, 5.0))
_STEPS = (1.0, 2.0, 5.0, 10.0, 20.0, 25.0, 50.0, 100.0)

FEW_EXACT = 2
"""Tensors in a row that are passed over where they have no error; of a deep network one in a hundred."""
Values = Sequence[float | None]
Choice = Literal["both", "lowest", "median"]
Point = tuple[float, float]


def scale(values: Sequence[float], *, fine: bool = False) -> tuple[float, float, list[float]]:
    """Lowest and highest value of an axis and its ticks, all multiples of one round step.

    Args:
        values: finite values that must lie on the axis.
        fine: whether steps may be smaller than 1.
    """
    low, high = min(values, default=0.0), max(values, default=100.0)
    steps = (*_FINE, *_STEPS) if fine and high > low else _STEPS
    step = next((s for s in steps if (high - low) / s <= _TICKS), math.ceil((high - low) / _TICKS / 100) * 100.0)
    first, last = math.floor(low / step), max(math.ceil(high / step), math.floor(low / step) + 1)
    return first * step, last * step, [i * step for i in range(first, last + 1)]


def across(index: int, count: int) -> float:
    """Position of tensor `index` of `count`."""
    return (index + 0.5) / count * WIDTH


def height(value: float, low: float, high: float) -> float:
    """Height of a value; what lies beyond the axis lies on its edge."""
    return HEIGHT * (1 - (min(max(value, low), high) - low) / (high - low))


def spikes(values: Values) -> frozenset[int]:
    """Positions of single tensors, or very few in a row, without any error between others that have one.

    A line that shot up to infinity at each of them would hide what the others have.
    """
    few = max(FEW_EXACT, len(values) // 100)
    found = set[int]()
    for exact, group in groupby(range(len(values)), key=lambda i: values[i] == math.inf):
        places = list(group)
        if exact and len(places) <= few:
            found.update(places)
    return frozenset(found) if len(found) < sum(v is not None for v in values) else frozenset()


def line(values: Values, low: float, high: float, columns: int = COLUMNS, *, choose: Choice = "both") -> str:
    """Path through the values, broken where none can be drawn, passing over spikes; long ones column by column.

    Args:
        values: one per tensor; None, NaN and -Inf are not drawn, Inf lies on the upper edge.
        low: lower end of the axis.
        high: upper end of the axis.
        columns: columns to which a longer line is dealt.
        choose: what it keeps of a column: lowest and highest, the lowest, or the median.
    """
    left_out = spikes(values)
    points: list[Point | None] = []
    for number, column in enumerate(buckets(len(values), columns)):
        there = [i for i in column if i not in left_out]
        given = _drawn(values, there)
        x = across(number, min(len(values), columns))
        if given:
            points += [(x, height(v, low, high)) for v in _chosen(given, choose)]
        elif there:
            points.append(None)
    reach = 0.3 * WIDTH / max(len(values), 1)
    return "".join(_run(run, reach) for run in _runs(points))


def band(values: Values, low: float, high: float, columns: int) -> str:
    """Path around what the values of each column span, in as many pieces as there are runs of values.

    Args:
        values: one per tensor, more than there are columns; what `line` does not draw is left out.
        low: lower end of the axis.
        high: upper end of the axis.
        columns: that the values are dealt to.
    """
    left_out = spikes(values)
    tops: list[Point | None] = []
    bottoms: list[Point | None] = []
    for number, column in enumerate(buckets(len(values), columns)):
        there = [i for i in column if i not in left_out]
        given = _drawn(values, there)
        if there:
            x = across(number, columns)
            tops.append((x, height(max(given), low, high)) if given else None)
            bottoms.append((x, height(min(given), low, high)) if given else None)
    runs = zip(_runs(tops), _runs(bottoms), strict=True)
    return "".join(
        "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in (*above, *reversed(below))) + "z"
        for above, below in runs
        if len(above) > 1
    )


def _drawn(values: Values, places: Sequence[int]) -> list[float]:
    return [v for i in places if (v := values[i]) is not None and not math.isnan(v) and v != -math.inf]


def _chosen(given: Sequence[float], choose: Choice) -> list[float]:
    """What stands for a column: first what lies higher on the page."""
    if choose == "median":
        return [sorted(given)[(len(given) - 1) // 2]]
    lowest, highest = min(given), max(given)
    return [lowest] if choose == "lowest" or lowest == highest else [highest, lowest]


def _runs(points: Sequence[Point | None]) -> list[list[Point]]:
    """The points in unbroken runs."""
    runs: list[list[Point]] = [[]]
    for point in points:
        if point is not None:
            runs[-1].append(point)
        elif runs[-1]:
            runs.append([])
    return [run for run in runs if run]


def _run(run: Sequence[Point], reach: float) -> str:
    """A line through a run; a point alone becomes a short stroke, or it would not be seen."""
    (x, y) = run[0]
    if len(run) == 1:
        return f"M{x - reach:.1f} {y:.1f}h{2 * reach:.1f}"
    return f"M{x:.1f} {y:.1f}" + "".join(f"L{x:.1f} {y:.1f}" for x, y in run[1:])


def buckets(count: int, columns: int = COLUMNS) -> list[range]:
    """`count` positions dealt to at most `columns` columns."""
    columns = min(count, columns)
    edges = [round(i * count / columns) for i in range(columns + 1)]
    return [range(a, b) for a, b in pairwise(edges)]


def strokes(positions: Sequence[int], count: int) -> str:
    """A full-height bar at each of the positions."""
    width = max(WIDTH / count, 2.5)
    left = sorted({round(index / count * WIDTH, 1) for index in positions})
    return "".join(f"M{x:.1f} 0h{width:.1f}v{HEIGHT:.0f}h{-width:.1f}z" for x in left)


def grid(ticks: Sequence[float], low: float, high: float) -> Html:
    """A line across at each tick."""
    across_all = "".join(f"M0 {height(t, low, high):.1f}H{WIDTH:.0f}" for t in ticks)
    return el("path", {"class": "grid", "d": across_all})


def drawing(paths: Child, high: float = HEIGHT) -> Html:
    """Paths in a box that stretches."""
    box = {"viewBox": f"0 0 {WIDTH:.0f} {high:.0f}", "preserveAspectRatio": "none", "aria-hidden": "true"}
    return el("svg", {**box, "class": "drawing"}, paths)


def plot(unit: str, ticks: Sequence[tuple[str, float]], inside: Child, kind: str) -> Html:
    """A drawing with its axis.

    Args:
        unit: what the axis measures.
        ticks: label and place of each, 0 at the top and 1 at the bottom.
        inside: layers of the drawing area.
        kind: CSS class.
    """
    labels = [el("text", {"x": "100%", "y": percent_of(at)}, text) for text, at in ticks]
    axis = el("svg", {"class": "labels", "aria-hidden": "true"}, labels)
    return el(
        "div", {"class": f"plot {kind}"}, el("p", {"class": "unit"}, unit), axis, el("div", {"class": "area"}, inside)
    )


def percent_of(share: float) -> str:
    """A place in a box, as SVG takes it."""
    return f"{share * 100:.2f}%"
