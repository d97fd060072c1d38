"""The measures of drift, and what is told of them beside a finding."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from assay_api.output_details import OutputDriftDetails, SpreadEntry
from assay_runner.checks.channel_groups import entries, spread
from assay_runner.evidence import OutputDrifts
from assay_runner.tensors import Floats


@dataclass(frozen=True)
class Metric:
    """A measure of drift with one value per sample."""

    name: str
    more_is_better: bool
    values: Callable[[OutputDrifts], Floats]

    def breached(self, value: float, limit: float) -> bool:
        """Whether a value is beyond the limit; NaN is."""
        return not (value >= limit if self.more_is_better else value <= limit)


METRICS = (
    Metric("maxAbs", False, lambda drifts: drifts.max_abs),
    Metric("maxRel", False, lambda drifts: drifts.max_rel),
    Metric("cosine", True, lambda drifts: drifts.cosine),
    Metric("psnr", True, lambda drifts: drifts.psnr),
    Metric("snr", True, lambda drifts: drifts.snr),
)


def details_of(drifts: OutputDrifts) -> OutputDriftDetails:
    """What is told of an output beyond its one figure."""
    resized = drifts.resized.count if drifts.resized else None
    if drifts.equal is not None:
        return OutputDriftDetails(samples=drifts.samples, equal=float(drifts.equal.mean()), other_rows=resized)
    spreads = {metric.name: _spread(metric, drifts) for metric in METRICS} if drifts.measured.size else {}
    return OutputDriftDetails(
        samples=drifts.samples,
        max_abs=spreads.get("maxAbs"),
        max_rel=spreads.get("maxRel"),
        cosine=spreads.get("cosine"),
        psnr=spreads.get("psnr"),
        snr=spreads.get("snr"),
        not_finite=int(drifts.broken.sum()),
        not_finite_in_golden_only=int(drifts.void.sum()),
        elements_not_finite_in_both=int(drifts.as_golden.sum()),
        other_rows=resized,
        groups=entries(drifts),
    )


def _spread(metric: Metric, drifts: OutputDrifts) -> SpreadEntry:
    return spread(metric.values(drifts)[drifts.measured], metric.more_is_better)
