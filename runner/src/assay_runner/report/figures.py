"""Numbers as a person reads them: one spelling, one unit and one direction per metric, for page, terminal and JUnit.

Measured values arrive as floats, as the strings JSON has for non-finite numbers, or not at all. A value that is not
there is "not measured", never zero.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

NOT_MEASURED = "not measured"


@dataclass(frozen=True)
class Metric:
    """How a metric is written.

    Attributes:
        key: its name in the report.
        label: its name for a person.
        more_is_better: true where the limit is a lower bound.
        unit: "dB", "share" (0..1, shown in per cent) or "" for a plain number.
    """

    key: str
    label: str
    more_is_better: bool = False
    unit: str = ""


METRICS = {
    m.key: m
    for m in (
        Metric("maxAbs", "largest absolute error"),
        Metric("maxRel", "largest relative error"),
        Metric("rms", "RMS error"),
        Metric("cosine", "cosine similarity", more_is_better=True),
        Metric("psnr", "PSNR", more_is_better=True, unit="dB"),
        Metric("snr", "SNR", more_is_better=True, unit="dB"),
        Metric("equal", "samples identical to golden", more_is_better=True, unit="share"),
        Metric("equalElements", "elements that are golden's", more_is_better=True, unit="share"),
        Metric("otherRows", "samples with another number of rows"),
        Metric("topKAgreement", "top-k agreement", more_is_better=True, unit="share"),
        Metric("top1", "top-1 accuracy", more_is_better=True, unit="share"),
        Metric("top5", "top-5 accuracy", more_is_better=True, unit="share"),
        Metric("top1Kept", "golden's top-1 accuracy kept", more_is_better=True, unit="share"),
        Metric("top5Kept", "golden's top-5 accuracy kept", more_is_better=True, unit="share"),
        Metric("layersShare", "layers that ran in what was asked for", more_is_better=True, unit="share"),
        Metric("narrowerLayers", "layers that ran narrower than asked for"),
        Metric("tensorsThatOverflow", "tensors that FP16 cannot hold"),
        Metric("zeroDivisors", "elements that something divides by and FP16 makes zero"),
        Metric("underflow", "share of elements that become zero", unit="share"),
        Metric("subnormal", "share of elements that become subnormal", unit="share"),
        Metric("nodesIn8Bits", "nodes that read 8 bits and should not"),
        Metric("innerSum", "largest sum inside a node"),
        Metric("nonFinite", "samples with NaN or Inf"),
        Metric("differences", "runs that differ"),
        Metric("otherBits", "rows with other bits"),
        Metric("mean", "mean score", more_is_better=True),
        Metric("score", "score of the dataset", more_is_better=True),
        Metric("kept", "golden's score kept", more_is_better=True, unit="share"),
        Metric("lostDetections", "golden's detections that are lost", unit="share"),
        Metric("gainedDetections", "detections that golden has not", unit="share"),
        Metric("movedDetections", "detections that have moved", unit="share"),
        Metric("rescoredDetections", "detections with another score", unit="share"),
        Metric("medianMs", "median time of a batch in ms"),
        Metric("p99Ms", "99th percentile of a batch's time in ms"),
        Metric("throughput", "samples per second", more_is_better=True),
        Metric("engineMB", "size in MB"),
        Metric("deviceMemoryMB", "device memory in MB"),
        Metric("localSnr", "local SNR", more_is_better=True, unit="dB"),
        Metric("accumulatedSnr", "accumulated SNR", more_is_better=True, unit="dB"),
        Metric("localRms", "local RMS error"),
        Metric("accumulatedRms", "accumulated RMS error"),
        Metric("startsHere", "share of the tensor's error that its own node adds", unit="share"),
    )
}


def metric_of(key: str | None) -> Metric:
    """The metric's row, or a plain one (less is better, no unit) for a name that has none."""
    return METRICS.get(key or "") or Metric(key or "value", key or "value")


_PARAMETERS = frozenset(
    {"maxAbs", "maxRel", "cosine", "psnr", "snr", "equal", "topKAgreement", "top1", "top5", "mean", "medianMs", "p99Ms"}
)
"""Metrics that a reader knows by the name under which an audit limits them."""


def named(key: str | None) -> str:
    """A metric in a table for people: as an audit spells it where it does, else in words."""
    row = metric_of(key)
    return row.key if row.key in _PARAMETERS else row.label


def number(value: Any) -> float | None:
    """The value as a float, `None` where it is missing or no number; "NaN" and "Infinity" are numbers."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        return float(value)
    except (ValueError, OverflowError):
        return None


def rounded(value: Any, digits: int = 5) -> float | None:
    """The value as the page carries it: to `digits` significant digits, so that text and scripts start from one."""
    given = value if type(value) is float else number(value)
    return given if given is None or not math.isfinite(given) else float(f"{given:.{digits}g}")


def plain(value: Any, digits: int = 4) -> str:
    """A number to `digits` significant digits, short and without trailing zeros."""
    given = number(value)
    if given is None:
        return NOT_MEASURED
    if math.isnan(given):
        return "NaN"
    if math.isinf(given):
        return "∞" if given > 0 else "-∞"
    if abs(given) < 1e6 and (given == int(given) or abs(given) >= 10**digits):
        return f"{given + 0.0:,.0f}" if abs(given) >= 1e4 else f"{given + 0.0:.0f}"
    mantissa, _, exponent = f"{given:.{digits}g}".partition("e")
    return mantissa + (f"e{int(exponent)}" if exponent else "")


def percent(value: Any, digits: int = 2) -> str:
    """A share 0..1 in per cent."""
    given = number(value)
    return plain(value) if given is None or not math.isfinite(given) else f"{given * 100:.{digits}f} %"


def figure(metric: str | None, value: Any) -> str:
    """A value of a metric with its unit, or "not measured"."""
    row = metric_of(metric)
    given = number(value)
    if given is None:
        return NOT_MEASURED
    if row.unit == "share":
        return percent(given)
    if row.unit == "dB" and not math.isnan(given):
        return "∞ dB (bitwise equal)" if given == math.inf else f"{plain(round(given, 2))} dB"
    return plain(given, 6 if row.more_is_better else 4)


def bound(metric: str | None, limit: Any) -> str:
    """A limit with its direction, for example "≤ 0.05"."""
    row, given = metric_of(metric), number(limit)
    whole = row.unit == "share" and given is not None and math.isfinite(given) and round(given * 100, 4) % 1 == 0
    return f"{'≥' if row.more_is_better else '≤'} {percent(given, 0) if whole else figure(metric, limit)}"


def breaches(metric: str | None, value: Any, limit: Any) -> bool:
    """Whether the value lies beyond the limit; NaN lies beyond every limit, a missing value or limit beyond none."""
    measured, allowed = number(value), number(limit)
    if measured is None or allowed is None:
        return False
    return not (measured >= allowed if metric_of(metric).more_is_better else measured <= allowed)


def excess(metric: str | None, value: Any, limit: Any) -> str:
    """How far beyond the limit, for example "6.2 × the limit"; empty where a ratio says nothing."""
    measured, allowed = number(value), number(limit)
    if measured is None or allowed is None or not breaches(metric, value, limit) or metric_of(metric).more_is_better:
        return ""
    if allowed <= 0 or not math.isfinite(measured / allowed):
        return ""
    return f"{plain(measured / allowed, 2)} × the limit"


def milliseconds(value: Any) -> str:
    """A duration given in milliseconds, to three digits, zeros too: durations stand below each other."""
    given = number(value)
    if given is None or not math.isfinite(given):
        return plain(value)
    return f"{given:,.0f} ms" if abs(given) >= 100 else f"{given:#.3g} ms"


def moment(text: str) -> str:
    """A time in UTC as ISO 8601 has it, without its letters."""
    return text.replace("T", " ").replace("Z", " UTC")


def count(value: Any) -> str:
    """A number of things, every digit of it."""
    given = number(value)
    return plain(value) if given is None or not math.isfinite(given) else f"{given:,.0f}"


def rate(value: Any) -> str:
    """A throughput given in samples per second."""
    given = number(value)
    if given is None or not math.isfinite(given):
        return plain(value)
    return f"{count(given)}/s" if given >= 100 else f"{plain(given, 3)}/s"


def size(total: int | None) -> str:
    """A number of bytes."""
    if total is None:
        return NOT_MEASURED
    scaled = float(total)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if scaled < 1024 or unit == "GiB":
            return f"{total} B" if unit == "B" else f"{scaled:.1f} {unit}"
        scaled /= 1024
    raise AssertionError("unreachable")
