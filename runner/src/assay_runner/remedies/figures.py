"""Figures of trials as people write them."""

from __future__ import annotations

from assay_runner.remedies.judged import Said, in_decibels


def figures(said: Said | None) -> str:
    """A finding's value and its limit."""
    if said is None:
        return "no figure has a limit"
    return f"{said.metric} {figure(said.metric, said.value)} (limit {figure(said.metric, said.limit)})"


def to_spare(metric: str | None, share: float) -> str:
    """A margin, in shares as of `margin`, as it is asked for of a metric."""
    return f"{30 * share:.1f} dB" if in_decibels(metric or "") else f"{100 * share:.0f} % of the limit"


def figure(metric: str | None, value: float | None) -> str:
    """A value of a metric, with its unit."""
    if value is None or metric is None:
        return "unknown"
    if metric.lower().endswith("kept"):
        return f"{100 * value:.2f} %"
    return f"{value:.1f} dB" if in_decibels(metric) else f"{value:.4g}"
