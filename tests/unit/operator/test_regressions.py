"""The metric of what regressed in sweeps: one series per sweep, and no more than a few hundred."""

from __future__ import annotations

from assay_operator.process.census import MOST_OBJECTS
from assay_operator.process.metrics import Metrics


def scraped(*sweeps: tuple[str, str, int]) -> list[str]:
    metrics = Metrics()
    metrics.watch({}, lambda: (), lambda: 0.0, lambda: sweeps)
    return [line for line in metrics.text().decode().splitlines() if line.startswith("assay_sweep_regressions{")]


def test_every_sweep_has_a_series_also_where_nothing_regressed() -> None:
    assert scraped(("ml", "nightly", 3), ("ml", "a", 0)) == [
        'assay_sweep_regressions{namespace="ml",sweep="a"} 0.0',
        'assay_sweep_regressions{namespace="ml",sweep="nightly"} 3.0',
    ]  # fmt: skip
    assert scraped() == []


def test_beyond_some_hundreds_they_share_one() -> None:
    lines = scraped(*((f"n{number:04}", "nightly", 1) for number in range(MOST_OBJECTS + 7)))
    assert len(lines) == MOST_OBJECTS + 1
    assert lines[-1] == 'assay_sweep_regressions{namespace="(other)",sweep="(other)"} 7.0'
