"""Numbers as people read them."""

from __future__ import annotations

import math
from typing import Any

import pytest

from assay_runner.report.figures import bound, breaches, excess, figure, milliseconds, number, percent, plain, size


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "not measured"), ("x", "not measured"), (True, "not measured"), ([], "not measured"),
        ("NaN", "NaN"), (math.inf, "∞"), ("-Infinity", "-∞"), (0, "0"), (-0.0, "0"), (5, "5"), (-1.5, "-1.5"),
        (0.0612345, "0.06123"), (101210.0, "101,210"), (65504.4, "65,504"), (-9999, "-9999"),
            (3e-7, "3e-7"), (1.5e9, "1.5e9"),
        (1e400, "∞"),
    ],
)  # fmt: skip
def test_plain(value: Any, text: str) -> None:
    assert plain(value) == text


@pytest.mark.parametrize(
    ("metric", "value", "text"),
    [
        ("maxAbs", 0.31274, "0.3127"), ("cosine", 0.998765, "0.998765"), ("snr", math.inf, "∞ dB (bitwise equal)"),
        ("psnr", 51.2345, "51.23 dB"), ("topKAgreement", 0.9, "90.00 %"), ("top1", "NaN", "NaN"),
        ("unheardOf", 2, "2"), (None, None, "not measured"),
    ],
)  # fmt: skip
def test_figure(metric: str | None, value: Any, text: str) -> None:
    assert figure(metric, value) == text


@pytest.mark.parametrize(
    ("metric", "value", "limit", "beyond"),
    [
        ("maxAbs", 0.05, 0.05, False), ("maxAbs", 0.051, 0.05, True), ("maxAbs", math.nan, 0.05, True),
        ("maxAbs", None, 0.05, False), ("maxAbs", 1, None, False), ("cosine", 0.999, 0.999, False),
        ("cosine", 0.99, 0.999, True), ("cosine", "NaN", 0.999, True), ("snr", "Infinity", 30, False),
    ],
)  # fmt: skip
def test_breaches(metric: str, value: Any, limit: Any, beyond: bool) -> None:
    assert breaches(metric, value, limit) is beyond


def test_limits_have_a_direction_and_excess_a_ratio() -> None:
    assert (bound("cosine", 0.999), bound("maxAbs", 0.05)) == ("≥ 0.999", "≤ 0.05")
    assert excess("maxAbs", 0.3, 0.05) == "6 × the limit"
    assert excess("maxAbs", 0.3, 0) == excess("cosine", 0.5, 0.9) == excess("maxAbs", 0.01, 0.05) == ""
    assert excess("maxAbs", math.nan, 0.05) == excess("maxAbs", math.inf, 0.05) == ""


def test_units() -> None:
    assert (percent(0.97222), milliseconds(0.4126), milliseconds(1234.5)) == ("97.22 %", "0.413 ms", "1,234 ms")
    assert [milliseconds(ms) for ms in (0.039, 0.04, 2, 62, 0)] == [
        "0.0390 ms",
        "0.0400 ms",
        "2.00 ms",
        "62.0 ms",
        "0.00 ms",
    ]
    assert [size(n) for n in (None, 512, 146_432, 5 * 2**30)] == ["not measured", "512 B", "143.0 KiB", "5.0 GiB"]
    assert number("1e3") == 1000.0
