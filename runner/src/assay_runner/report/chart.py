"""Error along a candidate's depth: what every tensor carries, what its own node adds, where NaN and Inf begin."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from assay_api.report import TensorEntry
from assay_runner.report.drawing import (
    HEIGHT,
    WIDTH,
    Values,
    band,
    buckets,
    drawing,
    grid,
    height,
    line,
    plot,
    scale,
    spikes,
    strokes,
)
from assay_runner.report.figures import percent
from assay_runner.report.markup import Html, code, el

BARS = 60.0
DENSE = 250
"""Columns of the drawing of a network that has more tensors; a line through each of them would be a solid block."""
_TOPS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)


def chart(layers: Sequence[TensorEntry], identity: str, fused: int = 0) -> Html | None:
    """The figure: local and accumulated SNR per tensor, below it how much of each tensor's error its own node adds.

    Args:
        layers: the candidate's layers in topological order.
        identity: unique id on the page.
        fused: tensors inside fused layers, which are not among them.

    Returns:
        None where neither was measured.
    """
    accumulated, local = [layer.accumulated_snr for layer in layers], [layer.local_snr for layer in layers]
    starts = [layer.starts_here for layer in layers]
    finite = [v for v in (*accumulated, *local) if v is not None and math.isfinite(v)]
    broken = [i for i, layer in enumerate(layers) if layer.non_finite]
    if not finite and not broken and not _top(starts):
        return None
    low, high, ticks, labels = decibel_axis(finite, exact=math.inf in accumulated or math.inf in local)
    dense, top = len(layers) > DENSE, _top(starts)
    lines = [
        grid(ticks, low, high),
        el("path", {"class": "broken", "d": strokes(broken, len(layers))}) if broken else None,
        el("path", {"class": "band", "d": band(accumulated, low, high, DENSE)}) if dense else None,
        el("path", {"class": "local dense" if dense else "local", "d": line(local, low, high, DENSE, choose="median")}),
        el("path", {"class": "accumulated", "d": line(accumulated, low, high, DENSE, choose="median")}),
    ]
    # By these the scripts draw a part of it.
    axes = {"data-low": f"{low:g}", "data-high": f"{high:g}", "data-top": f"{top:g}"} if dense else {}
    return el(
        "figure",
        {"class": "chart depth", "id": identity, **axes},
        el("figcaption", None, _caption(layers, accumulated, local, broken, fused), _keys(bool(broken), dense)),
        plot("SNR, dB", labels, drawing(lines), "snr"),
        _shares(starts),
        ends(len(layers)),
    )


def decibel_axis(finite: Sequence[float], *, exact: bool) -> tuple[float, float, list[float], list[tuple[str, float]]]:
    """Ends, ticks and labels of an axis of dB; where something is exact, infinity is its upper end."""
    low, high, ticks = scale(finite)
    if exact:
        high += ticks[1] - ticks[0]
        ticks.append(high)
    texts = [f"{t:g}" for t in ticks[:-1]] + ["∞" if exact else f"{ticks[-1]:g}"]
    return low, high, ticks, [(text, height(t, low, high) / HEIGHT) for text, t in zip(texts, ticks, strict=True)]


def ends(count: int) -> Html:
    """The words below a chart along the network."""
    return el("p", {"class": "axis"}, [el("span", None, t) for t in ("input", f"{count} tensors", "output")])


def _top(shares: Values) -> float:
    """The upper end of the shares' axis, a round share; 0 where nothing is to be drawn."""
    highest = max((s for s in shares if s is not None and math.isfinite(s)), default=0.0)
    return next((t for t in _TOPS if highest <= t), 1.0) if highest > 0 else 0.0


def _shares(starts: Values) -> Html | None:
    top = _top(starts)
    if not top:
        return None
    unit = "share of the tensor's error that its own node adds"
    bars = el("path", {"class": "starts", "d": _bars(starts, top)})
    return plot(unit, [(percent(top, 0), 0.0), ("0", 1.0)], drawing(bars, BARS), "share")


def _bars(shares: Values, top: float) -> str:
    """A filled bar per column, as high as the largest share in it."""
    path = []
    columns = buckets(len(shares), DENSE) if shares else []
    for position, column in enumerate(columns):
        share = max((s for i in column if (s := shares[i]) is not None and math.isfinite(s)), default=0.0)
        if share > 0:
            left, width = position / len(columns) * WIDTH, WIDTH / len(columns)
            peak = BARS * (1 - min(share / top, 1))
            path.append(f"M{left + width * 0.1:.2f} {BARS:.0f}h{width * 0.8:.2f}V{peak:.2f}h{-width * 0.8:.2f}z")
    return "".join(path)


def _keys(broken: bool, dense: bool) -> Html:
    local = "local dense" if dense else "local"
    entries = [("accumulated", "accumulated: all error up to this tensor"), (local, "local: what this node adds")]
    entries += (
        [("band", "accumulated, from the worst to the best of neighbouring tensors; lines are their medians")]
        if dense
        else []
    )
    entries += [("broken", "NaN or Inf")] if broken else []
    return el("ul", {"class": "keys"}, [el("li", {"class": kind}, text) for kind, text in entries])


def _caption(
    layers: Sequence[TensorEntry], accumulated: Values, local: Values, broken: Sequence[int], fused: int
) -> Html:
    """What the drawing shows, in words: for those who cannot see it, and those who have no time to."""
    which = "tensor that the engine makes" if fused else "tensor"
    said: list[Html | str] = [f"Signal-to-noise ratio of every {which} against golden; higher is better. "]
    if fused:
        said.append(f"{inside_fused(fused)}, so {'it is' if fused == 1 else 'they are'} not drawn. ")
    if exact := len(spikes(accumulated)):
        said.append(f"Single tensors without any error are left out of the lines: {exact}. ")
    if broken:
        first = layers[broken[0]]
        said += [
            "The first NaN or Inf is in ",
            code(first.name) or "",
            f", tensor {broken[0] + 1} of {len(layers)}. ",
        ]
    lowest = _extreme(accumulated, min)
    if lowest is not None:
        value = f"{accumulated[lowest]:.1f} dB"
        which = f"lowest accumulated SNR over the whole dataset{' that is finite' if broken else ''}"
        said += [f"The {which} is {value}, at ", code(layers[lowest].name) or "", ". "]
    noisiest = _extreme(local, min)
    if noisiest is not None and not broken:
        share = layers[noisiest].starts_here
        much = f", {percent(share, 0)} of the error there" if share is not None and math.isfinite(share) else ""
        name = code(layers[noisiest].name) or ""
        said += ["The node that adds most noise makes ", name, f" (local SNR {local[noisiest]:.1f} dB{much})."]
    return el("p", None, said)


def inside_fused(fused: int) -> str:
    """How many tensors of the network no run of the engine shows."""
    return f"{fused:,} more {'lies' if fused == 1 else 'lie'} inside fused layers, which the engine never hands out"


def _extreme(values: Values, choose: Callable[..., int]) -> int | None:
    finite = [i for i, v in enumerate(values) if v is not None and math.isfinite(v)]
    return choose(finite, key=lambda i: values[i], default=None) if finite else None
