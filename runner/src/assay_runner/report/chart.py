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

WIDTH, HEIGHT, BARS = 1000.0, 240.0, 60.0
COLUMNS = 1000
_TICKS = 5
_TOPS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
_STEPS = (1.0, 2.0, 5.0, 10.0, 20.0, 25.0, 50.0, 100.0)

Values = Sequence[float | None]
Point = tuple[float, float]


def chart(layers: Sequence[Layer], identity: str) -> Html | None:
    """The figure: local and accumulated SNR per tensor, below it how much of each tensor's error its own node adds.

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
    if not finite and not broken and not _top(starts):
        return None
    low, high, ticks = _scale(finite)
    exact = math.inf in accumulated or math.inf in local
    if exact:
        high += ticks[1] - ticks[0]
        ticks.append(high)
    labels = [f"{t:g}" for t in ticks[:-1]] + ["∞" if exact else f"{ticks[-1]:g}"]
    lines = [
        el("path", {"class": "grid", "d": "".join(f"M0 {_y(t, low, high):.1f}H{WIDTH:.0f}" for t in ticks)}),
        el("path", {"class": "broken", "d": _strokes(broken, len(layers))}) if broken else None,
        el("path", {"class": "local dense" if len(layers) > COLUMNS else "local", "d": _line(local, low, high)}),
        el("path", {"class": "accumulated", "d": _line(accumulated, low, high)}),
    ]
    top = _top(starts)
    bars = el("path", {"class": "starts", "d": _bars(starts, top)})
    return el(
        "figure",
        {"class": "chart", "id": identity, "data-low": low, "data-high": high},
        el("figcaption", None, _caption(layers, accumulated, local, broken), _keys(bool(broken))),
        _plot(
            "SNR, dB",
            [(text, _y(t, low, high) / HEIGHT) for text, t in zip(labels, ticks, strict=True)],
            lines,
            HEIGHT,
            "snr",
        ),
        _plot(
            "share of the tensor's error that its own node adds",
            [(percent(top, 0), 0.0), ("0", 1.0)],
            [bars],
            BARS,
            "share",
        )
        if top
        else None,
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
    """Height of a value; no error at all (infinite SNR) lies at the upper edge."""
    return HEIGHT * (1 - (min(max(value, low), high) - low) / (high - low))


def _line(values: Values, low: float, high: float) -> str:
    """Path through the values, broken where none can be drawn; long ones as lowest and highest per column."""
    drawn = [None if v is None or math.isnan(v) or v == -math.inf else v for v in values]
    points = [None if v is None else (_x(i, len(values)), _y(v, low, high)) for i, v in enumerate(drawn)]
    if len(points) > COLUMNS:
        points = [p for column in _buckets(len(points)) for p in _envelope([points[i] for i in column])]
    reach = 0.3 * WIDTH / max(len(values), 1)
    return "".join(_run(run, reach) for run in _runs(points))


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


def _envelope(points: Sequence[Point | None]) -> list[Point | None]:
    given = [p for p in points if p is not None]
    if not given:
        return [None]
    return [min(given, key=lambda p: p[1]), max(given, key=lambda p: p[1])]


def _buckets(count: int) -> list[range]:
    columns = min(count, COLUMNS)
    edges = [round(i * count / columns) for i in range(columns + 1)]
    return [range(a, b) for a, b in pairwise(edges)]


def _top(shares: Values) -> float:
    """The upper end of the shares' axis, a round share; 0 where nothing is to be drawn."""
    highest = max((s for s in shares if s is not None and math.isfinite(s)), default=0.0)
    return next((t for t in _TOPS if highest <= t), 1.0) if highest > 0 else 0.0


def _bars(shares: Values, top: float) -> str:
    """A filled bar per column, as high as the largest share in it."""
    path = []
    columns = _buckets(len(shares)) if shares else []
    for position, column in enumerate(columns):
        share = max((s for i in column if (s := shares[i]) is not None and math.isfinite(s)), default=0.0)
        if share > 0:
            left, width = position / len(columns) * WIDTH, WIDTH / len(columns)
            peak = BARS * (1 - min(share / top, 1))
            path.append(f"M{left + width * 0.1:.2f} {BARS:.0f}h{width * 0.8:.2f}V{peak:.2f}h{-width * 0.8:.2f}z")
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


def _caption(layers: Sequence[Layer], accumulated: Values, local: Values, broken: Sequence[int]) -> Html:
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
        value = f"{accumulated[lowest]:.1f} dB"
        said += [f"The lowest accumulated SNR is {value}, at ", code(name_of(layers[lowest])) or "", ". "]
    noisiest = _extreme(local, min)
    if noisiest is not None and not broken:
        share = number(layers[noisiest].get("startsHere"))
        much = f", {percent(share, 0)} of the error there" if share is not None and math.isfinite(share) else ""
        name = code(name_of(layers[noisiest])) or ""
        said += ["The node that adds most noise makes ", name, f" (local SNR {local[noisiest]:.1f} dB{much})."]
    return el("p", None, said)


def _extreme(values: Values, choose: Callable[..., int]) -> int | None:
    finite = [i for i, v in enumerate(values) if v is not None and math.isfinite(v)]
    return choose(finite, key=lambda i: values[i], default=None) if finite else None
