"""Error along the network's depth, drawn once on the server as SVG: it prints, and needs no script.

The drawing is stretched to its box, so lines keep their width and labels are HTML beside it. A network of 5,000 tensors
is drawn as the envelope of its columns: at a thousand columns nothing is lost that a screen could show, and the page
does not grow with the network.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise

from assay_runner.report.figures import number, percent
from assay_runner.report.layers import Layer, name_of, non_finite
from assay_runner.report.markup import Html, code, el

WIDTH, HEIGHT = 1000.0, 240.0
COLUMNS = 1000
_TICKS = 5
_STEPS = (1.0, 2.0, 5.0, 10.0, 20.0, 25.0, 50.0, 100.0)

Values = Sequence[float | None]


def chart(layers: Sequence[Layer], identity: str) -> Html | None:
    """The figure: local and accumulated SNR per tensor, below it the share of the error that starts at each.

    Args:
        layers: the candidate's layers in topological order.
        identity: unique id on the page.

    Returns:
        None where neither was measured.
    """
    accumulated, local = _values(layers, "accumulatedSnr"), _values(layers, "localSnr")
    starts = _values(layers, "startsHere")
    finite = [v for v in (*accumulated, *local) if v is not None and math.isfinite(v)]
    broken = [i for i, layer in enumerate(layers) if non_finite(layer)]
    if not finite and not broken and not any(starts):
        return None
    low, high, ticks = _scale(finite)
    lines = [
        el("path", {"class": "grid", "d": "".join(f"M0 {_y(t, low, high):.1f}H{WIDTH:.0f}" for t in ticks)}),
        el("path", {"class": "broken", "d": _strokes(broken, len(layers))}) if broken else None,
        el("path", {"class": "local", "d": _line(local, low, high)}),
        el("path", {"class": "accumulated", "d": _line(accumulated, low, high)}),
    ]
    bars = el("path", {"class": "starts", "d": _bars(starts)})
    return el(
        "figure",
        {"class": "chart", "id": identity, "data-low": low, "data-high": high},
        el("figcaption", None, _caption(layers, accumulated, starts, broken), _keys(bool(broken))),
        _plot("SNR, dB", [(f"{t:g}", _y(t, low, high) / HEIGHT) for t in ticks], lines, HEIGHT, "snr"),
        _plot("starts here", [("100 %", 0.0), ("0", 1.0)], [bars], 60.0, "share") if any(starts) else None,
        el("p", {"class": "axis"}, [el("span", None, t) for t in ("input", f"{len(layers)} tensors", "output")]),
    )


def _values(layers: Sequence[Layer], key: str) -> list[float | None]:
    return [number(layer.get(key)) for layer in layers]


def _scale(values: Sequence[float]) -> tuple[float, float, list[float]]:
    """Lowest and highest value of the axis and its ticks, all multiples of one round step."""
    low, high = min(values, default=0.0), max(values, default=100.0)
    step = next((s for s in _STEPS if (high - low) / s <= _TICKS), math.ceil((high - low) / _TICKS / 100) * 100.0)
    first, last = math.floor(low / step), max(math.ceil(high / step), math.floor(low / step) + 1)
    return first * step, last * step, [i * step for i in range(first, last + 1)]


def _x(index: int, count: int) -> float:
    return (index + 0.5) / count * WIDTH


def _y(value: float, low: float, high: float) -> float:
    """Height of a value; what is infinite or NaN lies at the edge it tends to."""
    if math.isnan(value):
        return HEIGHT
    return HEIGHT * (1 - (min(max(value, low), high) - low) / (high - low))


def _line(values: Values, low: float, high: float) -> str:
    """Path through the values, broken where one is missing; long ones as lowest and highest per column."""
    points = [None if v is None else (_x(i, len(values)), _y(v, low, high)) for i, v in enumerate(values)]
    if len(points) > COLUMNS:
        points = [p for column in _buckets(len(points)) for p in _envelope([points[i] for i in column])]
    path, drawing = [], False
    for point in points:
        if point is not None:
            path.append(f"{'L' if drawing else 'M'}{point[0]:.1f} {point[1]:.1f}{'' if drawing else 'h0'}")
        drawing = point is not None
    return "".join(path)


def _envelope(points: Sequence[tuple[float, float] | None]) -> list[tuple[float, float] | None]:
    given = [p for p in points if p is not None]
    if not given:
        return [None]
    return [min(given, key=lambda p: p[1]), max(given, key=lambda p: p[1])]


def _buckets(count: int) -> list[range]:
    columns = min(count, COLUMNS)
    edges = [round(i * count / columns) for i in range(columns + 1)]
    return [range(a, b) for a, b in pairwise(edges)]


def _bars(shares: Values) -> str:
    """A filled bar per column, as high as the largest share in it, on a height of 60."""
    path = []
    columns = _buckets(len(shares)) if shares else []
    for position, column in enumerate(columns):
        share = max((s for i in column if (s := shares[i]) is not None and math.isfinite(s)), default=0.0)
        if share > 0:
            left, width = position / len(columns) * WIDTH, WIDTH / len(columns)
            path.append(
                f"M{left + width * 0.1:.2f} 60h{width * 0.8:.2f}V{60 * (1 - min(share, 1)):.2f}h{-width * 0.8:.2f}z"
            )
    return "".join(path)


def _strokes(broken: Sequence[int], count: int) -> str:
    width = max(WIDTH / count, 1.0)
    left = sorted({round(index / count * WIDTH, 1) for index in broken})
    return "".join(f"M{x:.1f} 0h{width:.1f}v{HEIGHT:.0f}h{-width:.1f}z" for x in left)


def _plot(
    unit: str, ticks: Sequence[tuple[str, float]], paths: Sequence[Html | None], height: float, kind: str
) -> Html:
    """A drawing with its axis; labels are placed in SVG of their own, stretched in height only by their position."""
    drawing = {"viewBox": f"0 0 {WIDTH:.0f} {height:.0f}", "preserveAspectRatio": "none", "aria-hidden": "true"}
    labels = [el("text", {"x": "100%", "y": f"{at * 100:.2f}%"}, text) for text, at in ticks]
    axis = el("svg", {"class": "labels", "aria-hidden": "true"}, labels)
    area = el("div", {"class": "area"}, el("svg", {**drawing, "class": "drawing"}, list(paths)))
    return el("div", {"class": f"plot {kind}"}, el("p", {"class": "unit"}, unit), axis, area)


def _keys(broken: bool) -> Html:
    entries = [("accumulated", "accumulated: all error up to this tensor"), ("local", "local: what this node adds")]
    entries += [("broken", "NaN or Inf")] if broken else []
    return el("ul", {"class": "keys"}, [el("li", {"class": kind}, text) for kind, text in entries])


def _caption(layers: Sequence[Layer], accumulated: Values, starts: Values, broken: Sequence[int]) -> Html:
    """What the drawing shows, in words: for those who cannot see it, and those who have no time to."""
    said: list[Html | str] = ["Signal-to-noise ratio of every tensor against golden; higher is better. "]
    if broken:
        first = layers[broken[0]]
        said += [
            "The first NaN or Inf is in ",
            code(name_of(first)) or "",
            f", tensor {broken[0] + 1} of {len(layers)}. ",
        ]
    lowest = _extreme(accumulated, min)
    if lowest is not None:
        value = f"{accumulated[lowest]:.1f} dB".replace("-", "−")
        said += [f"The lowest accumulated SNR is {value}, at ", code(name_of(layers[lowest])) or "", ". "]
    most = _extreme(starts, max)
    if most is not None and starts[most]:
        said += [f"Most of the error, {percent(starts[most], 0)}, starts at ", code(name_of(layers[most])) or "", "."]
    return el("p", None, said)


def _extreme(values: Values, choose: Callable[..., int]) -> int | None:
    finite = [i for i, v in enumerate(values) if v is not None and math.isfinite(v)]
    return choose(finite, key=lambda i: values[i], default=None) if finite else None
