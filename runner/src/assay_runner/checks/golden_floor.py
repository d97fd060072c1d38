"""Whether a limit is finer than what golden itself holds: then golden cannot tell whether a candidate keeps it.

What lies between candidate and golden is the candidate's error and golden's own. Where the limit is below golden's,
what is within it agrees with golden better than golden with the model, and a breach of it may be golden's. Two cases
are clear all the same: a candidate that is golden bit by bit is within every limit, for nothing differs; and one that
is far beyond golden's noise has an error of its own.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from assay_api.entries import FloorEntry
from assay_api.model import wire_name

REACH: Final = 10.0
"""Golden's noise in the worst of all samples may be several times that in the worst of the few that were run twice."""
ROUNDS: Final = 80.0
"""Signal-to-noise ratio in dB below which no rounding of FP32 brings a tensor by itself."""
FINEST: Final = 140.0
"""What nothing but a few roundings is better than; where more is told, most of the model may not be run in FP64."""

_FIELDS = {wire_name(FloorEntry, field): field for field in ("max_abs", "max_rel", "cosine", "psnr", "snr")}
_HELD = {
    "fp64": "golden itself, in FP32, has {figure} against FP64",
    "reordered": "golden itself has {figure} in another order and batch",
    "unoptimised": "golden itself has {figure} with ONNX Runtime's optimisations off",
}
_WAY_OUT = {
    "fp64": "set golden.precision: fp64, or a limit that golden holds",
    "reordered": "set a limit that golden holds",
    "unoptimised": "set a limit that golden holds",
}


class Noise(NamedTuple):
    """Golden's own, where it is beyond a limit."""

    told: str
    """How much there is of it."""
    way_out: str
    """What to do."""
    explains: bool
    """Whether what was measured may be golden's noise."""


def floor_figures(floors: Sequence[FloorEntry], metric: str) -> dict[str, float]:
    """By what golden was held against, its figure in a metric; nothing where it has no such."""
    field = _FIELDS.get(metric)
    return {entry.against: getattr(entry, field) for entry in _rounding(floors)} if field else {}


def _rounding(floors: Sequence[FloorEntry]) -> tuple[FloorEntry, ...]:
    """Those that tell of golden's rounding.

    In another order and batch other kernels round otherwise. But where samples depend on one another a little, that
    changes more; a candidate is fed the batches that golden was, and nothing of that is between the two.
    """
    double = next((entry for entry in floors if entry.against == "fp64"), None)
    least = ROUNDS if double is None else min(double.snr, FINEST) - 20 * math.log10(REACH)
    return tuple(entry for entry in floors if entry.against != "reordered" or entry.snr >= least)


def golden_noise(
    floors: Sequence[FloorEntry], metric: str, value: float, limit: float, said: Callable[[float], str]
) -> Noise | None:
    """Golden's noise, where a limit is below it; None where golden holds the limit, or where that is not known.

    Args:
        floors: of golden on one output.
        metric: maxAbs, maxRel, cosine, psnr or snr.
        value: what was measured of the candidate.
        limit: what it is held to.
        said: a value of the metric in a sentence.
    """
    distances = {against: _distance(metric, figure) for against, figure in floor_figures(floors, metric).items()}
    beyond = {against: distance for against, distance in distances.items() if distance > _distance(metric, limit)}
    if not beyond:
        return None
    # Against FP64 there is a way out that keeps the limit.
    entry = min((entry for entry in floors if entry.against in beyond), key=lambda entry: entry.against)
    figure = f"{metric} {said(getattr(entry, _FIELDS[metric]))}"
    return Noise(
        f"{_HELD[entry.against].format(figure=figure)} (the worst of {entry.samples} samples)",
        _WAY_OUT[entry.against],
        _distance(metric, value) <= REACH * max(beyond.values()),
    )


def _distance(metric: str, figure: float) -> float:
    """A figure as a length that grows with the error: by ten, where the error grows by ten."""
    match metric:
        case "snr" | "psnr":
            return 10 ** (-figure / 20)
        case "cosine":
            return math.sqrt(max(0.0, 1 - figure))
    return figure
